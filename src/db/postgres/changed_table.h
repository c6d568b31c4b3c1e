#pragma once

#include <string_view>

namespace penstock::db::postgres {

// The table whose rows a statement changes, as its text names it; empty where it changes none, or begins with WITH, or
// names it in a way of which less is known.
std::string_view changed_table(std::string_view sql) noexcept;

}  // namespace penstock::db::postgres
