#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace penstock::db::postgres {

// A statement with `$1`, `$2` … in place of each `?`, which is left alone in quotes, dollar quotes and comments.
// `??` becomes the operator `?`.
struct numbered_sql {
  std::string text;
  std::size_t parameters = 0;
};
numbered_sql number_placeholders(std::string_view sql);

}  // namespace penstock::db::postgres
