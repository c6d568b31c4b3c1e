#include "sql.h"

#include "../as_cell.h"
#include "../definition_faults.h"
#include "penstock/db/error.h"
#include "wire_text.h"

#include <algorithm>
#include <utility>

namespace penstock::db::mariadb {
namespace {

// Characters of four bytes in an index entry (https://mariadb.com/kb/en/innodb-limitations/), with room left for
// numbers beside them.
constexpr std::size_t characters_in_key = 750;
constexpr std::size_t most_characters = 255;

bool is_long(column_type type) {
  return type == column_type::text || type == column_type::json || type == column_type::blob;
}

bool in_key(const table_definition& table, const std::string& name) {
  return std::find(table.unique_key.begin(), table.unique_key.end(), name) != table.unique_key.end();
}

std::size_t key_length(const table_definition& table) {
  auto count =
      static_cast<std::size_t>(std::count_if(table.columns.begin(), table.columns.end(), [&](const table_column& c) {
        return is_long(c.type) && in_key(table, c.name);
      }));
  return std::min(most_characters, characters_in_key / std::max<std::size_t>(count, 1));
}

std::string storage_type(const table_definition& table, const table_column& column) {
  bool is_key = in_key(table, column.name);
  std::string length = is_key ? std::to_string(key_length(table)) : "";
  switch (column.type) {
    case column_type::integer:
      return "BIGINT";
    case column_type::real:
      return "DOUBLE";
    case column_type::boolean:
      return "BOOLEAN";
    case column_type::timestamp:
      return "DATETIME(6)";
    case column_type::text:
    case column_type::json:
      return is_key ? "VARCHAR(" + length + ")" : "LONGTEXT";
    case column_type::blob:
      return is_key ? "VARBINARY(" + length + ")" : "LONGBLOB";
  }
  return {};
}

// The place behind a text, a name or a comment that begins at `at`; behind the character where none begins
// (https://mariadb.com/kb/en/string-literals/, /comment-syntax/).
std::size_t after_piece(std::string_view sql, std::size_t at) {
  char c = sql[at];
  if (c == '\'' || c == '"' || c == '`') {
    for (++at; at < sql.size() && sql[at] != c; ++at)
      if (sql[at] == '\\' && c == '\'') ++at;
    return std::min(at + 1, sql.size());
  }
  if (c == '#' || sql.substr(at, 3) == "-- ") return std::min(sql.find('\n', at), sql.size());
  if (sql.substr(at, 2) != "/*") return at + 1;
  std::size_t end = sql.find("*/", at + 2);
  return end == std::string_view::npos ? sql.size() : end + 2;
}

char lower(char c) noexcept { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

}  // namespace

std::string create_table_sql(const table_definition& definition, bool is_mariadb) {
  std::string sql;
  if (!definition.id_column.empty())
    sql = quote_identifier(definition.id_column) + " BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY";
  for (const table_column& column : definition.columns) {
    if (!sql.empty()) sql += ", ";
    sql += quote_identifier(column.name) + " " + storage_type(definition, column);
    sql += column.required ? " NOT NULL" : " NULL";
    // The type JSON of MySQL writes a text anew; this one keeps it. Its JSON_VALID refuses numbers beyond a double, and
    // what is nested deeper than 100 levels.
    if (column.type == column_type::json && is_mariadb)
      sql += " CHECK (JSON_VALID(" + quote_identifier(column.name) + "))";
  }
  if (!definition.unique_key.empty())
    sql.append(", ").append(kind_of_key(definition)).append(" ").append(name_list(definition.unique_key));
  // Collations that tell all texts apart, those that differ in blanks at their end too.
  return "CREATE TABLE IF NOT EXISTS " + quote_identifier(definition.name) + " (" + sql +
         ") ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE " +
         (is_mariadb ? "utf8mb4_nopad_bin" : "utf8mb4_0900_bin");
}

std::string with_literals(std::string_view sql, const parameters& values, std::size_t max_packet) {
  std::string text;
  std::size_t places = 0;
  for (std::size_t at = 0; at < sql.size();) {
    std::size_t end = after_piece(sql, at);
    if (sql[at] != '?') {
      text.append(sql.substr(at, end - at));
    } else if (places++ < values.size()) {
      cell c = as_cell(values[places - 1]);
      if (std::optional<std::string> why = unstorable(c, max_packet)) throw database_error(db_errc::data, *why);
      append_literal(text, c);
    }
    at = end;
  }
  if (places != values.size())
    throw database_error(db_errc::syntax, "the statement has " + std::to_string(places) +
                                              " parameters, but was given " + std::to_string(values.size()));
  return text;
}

std::string name_list(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ",") + quote_identifier(name);
  return "(" + list + ")";
}

std::string column_list(const table_definition& table) {
  std::vector<std::string> names;
  names.reserve(table.columns.size());
  for (const table_column& column : table.columns) names.push_back(column.name);
  return name_list(names);
}

std::vector<std::size_t> key_columns_of(const table_definition& table) {
  std::vector<std::size_t> places;
  for (const std::string& name : table.unique_key) {
    auto found =
        std::find_if(table.columns.begin(), table.columns.end(), [&](const table_column& c) { return c.name == name; });
    if (found == table.columns.end())
      throw database_error(db_errc::bad_options,
                           "table '" + table.name + "': '" + name + "' of the unique key is none of its columns");
    places.push_back(static_cast<std::size_t>(found - table.columns.begin()));
  }
  return places;
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

bool same_columns(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::is_permutation(a.begin(), a.end(), b.begin(), b.end(),
                             [](const std::string& x, const std::string& y) { return same_name(x, y); });
}

std::string unique_keys_sql(const std::string& table) {
  std::string sql =
      "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND "
      "TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ";
  append_quoted(sql, table);
  return sql + " ORDER BY INDEX_NAME, SEQ_IN_INDEX";
}

// An index on the first characters of a column is another key.
std::vector<unique_index> unique_indexes_of(const text_result& answer) {
  std::vector<unique_index> indexes;
  for (const auto& row : answer.rows) {
    if (indexes.empty() || indexes.back().name != *row[0]) indexes.push_back({*row[0], {}});
    indexes.back().columns.push_back(row[2] ? "(" + row[1].value_or("") + ")" : row[1].value_or(""));
  }
  return indexes;
}

}  // namespace penstock::db::mariadb
