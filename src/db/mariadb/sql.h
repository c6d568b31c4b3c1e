#pragma once

// Statements that are made from a table's definition, and what the server tells about a table.

#include "penstock/db/connection.h"
#include "penstock/db/table.h"
#include "wire.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::db::mariadb {

// Texts and blobs of a unique key have a bounded length, because an index entry takes 3,072 bytes at most.
std::string create_table_sql(const table_definition& definition, bool is_mariadb);

// The statement with its values as literals in the places of its `?`. Throws `db_errc::syntax` when there are more or
// fewer of them, and `data` for a value that no column can hold.
std::string with_literals(std::string_view sql, const parameters& values, std::size_t max_packet);

// ("a","b")
std::string name_list(const std::vector<std::string>& names);
std::string column_list(const table_definition& table);
// The places of the unique key's columns among the definition's. Throws `db_errc::bad_options` for one that is missing.
std::vector<std::size_t> key_columns_of(const table_definition& table);

// True when both name the same columns, in any order and any case.
bool same_columns(const std::vector<std::string>& a, const std::vector<std::string>& b);
bool same_name(std::string_view a, std::string_view b) noexcept;

struct unique_index {
  std::string name;
  std::vector<std::string> columns;
};
// Of a table of the session's database.
std::string unique_keys_sql(const std::string& table);
std::vector<unique_index> unique_indexes_of(const text_result& answer);

}  // namespace penstock::db::mariadb
