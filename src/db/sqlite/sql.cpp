#include "sql.h"

namespace penstock::db::sqlite {
namespace {

std::string_view storage_type(column_type type) {
  switch (type) {
    case column_type::integer:
    case column_type::boolean:
      return "INTEGER";
    case column_type::real:
      return "REAL";
    case column_type::blob:
      return "BLOB";
    case column_type::text:
    case column_type::timestamp:
    case column_type::json:
      return "TEXT";
  }
  return "ANY";
}

std::string name_list(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + quote_identifier(name);
  return "(" + list + ")";
}

}  // namespace

std::string create_table_sql(const table_definition& definition) {
  std::string sql;
  // Without AUTOINCREMENT the ids of the last rows are given again once these are deleted, and whoever reads on from an
  // id never sees the new ones (https://www.sqlite.org/autoinc.html).
  if (!definition.id_column.empty())
    sql = quote_identifier(definition.id_column) + " INTEGER PRIMARY KEY AUTOINCREMENT";
  for (const table_column& column : definition.columns) {
    if (!sql.empty()) sql += ", ";
    sql += quote_identifier(column.name) + " " + std::string(storage_type(column.type));
    if (column.required) sql += " NOT NULL";
  }
  if (!definition.unique_key.empty()) sql += ", UNIQUE " + name_list(definition.unique_key);
  return "CREATE TABLE IF NOT EXISTS " + quote_identifier(definition.name) + " (" + sql + ") STRICT";
}

std::string insert_sql(const table_definition& into, std::size_t rows, on_conflict how) {
  std::vector<std::string> names;
  std::string row;
  for (const table_column& column : into.columns) {
    names.push_back(column.name);
    row += row.empty() ? "(?" : ", ?";
  }
  row += ")";
  // Of the table IGNORE would lose a row, REPLACE another one, ROLLBACK all.
  std::string sql = how == on_conflict::abort ? "INSERT OR ABORT INTO " : "INSERT INTO ";
  sql += quote_identifier(into.name) + " " + name_list(names) + " VALUES " + row;
  for (std::size_t r = 1; r < rows; ++r) sql += ", " + row;
  if (!into.unique_key.empty()) sql += " ON CONFLICT " + name_list(into.unique_key) + " DO NOTHING";
  return sql;
}

}  // namespace penstock::db::sqlite
