#pragma once

// Which statements leave something in their session that the next user of it would meet.

#include <string_view>

namespace penstock::db {

// True when a statement may leave a setting, a variable, a temporary table, a prepared statement, a cursor or a lock,
// as far as its text tells; what the functions and triggers that it runs may do is not looked into.
bool leaves_traces(std::string_view sql) noexcept;

}  // namespace penstock::db
