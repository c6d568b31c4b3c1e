#pragma once

#include <string_view>

namespace penstock::db::mariadb {

// True for well-formed UTF-8 (RFC 3629, 4): no overlong form, no surrogate, nothing above U+10FFFF.
bool is_utf8(std::string_view text) noexcept;

}  // namespace penstock::db::mariadb
