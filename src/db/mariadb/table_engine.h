#pragma once

// The storage engine of a table.

#include <optional>
#include <string>

namespace penstock::db::mariadb {

struct text_result;

// Asks for the engine of a table of the session's database, and whether that has transactions, and two phases of
// commit. Null for a view.
std::string engine_sql(const std::string& table);
// Why rows are not stored once and for good in a table of that engine; nothing where they are.
std::optional<std::string> engine_difference(const text_result& engine);

}  // namespace penstock::db::mariadb
