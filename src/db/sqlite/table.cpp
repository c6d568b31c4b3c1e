#include "failure.h"
#include "penstock/db/error.h"
#include "session.h"
#include "sql.h"

#include <utility>

// Makes a table, or says how the one that exists differs.

namespace penstock::db::sqlite {
namespace {

std::vector<existing_column> columns_of(session& s, const std::string& table) {
  // ANY keeps everything as it is in a strict table only.
  result found = s.query(
      "SELECT name, CASE WHEN upper(type) = 'ANY' AND (SELECT max(strict) FROM pragma_table_list(?1)) THEN 'BLOB' ELSE "
      "type END, \"notnull\", dflt_value, pk FROM pragma_table_info(?1)",
      {table});
  std::vector<existing_column> columns;
  for (auto& row : found.rows) {
    bool has_default = !std::holds_alternative<std::monostate>(row[3]);
    bool primary = std::get<std::int64_t>(row[4]) != 0;
    columns.push_back({std::get<std::string>(row[0]), std::get<std::string>(row[1]),
                       std::get<std::int64_t>(row[2]) != 0 && !has_default && !primary});
  }
  return columns;
}

// Without the indexes that cover only some rows. An expression in an index has no name: it stands as "", which is no
// column's. The primary key stands first, since an INTEGER PRIMARY KEY has no index.
std::vector<std::vector<std::string>> unique_keys_of(session& s, const std::string& table) {
  result found = s.query(
      "SELECT -1 AS key, name, pk AS place FROM pragma_table_info(?1) WHERE pk UNION ALL "
      "SELECT l.seq, ifnull(i.name, ''), i.seqno FROM pragma_index_list(?1) AS l JOIN pragma_index_info(l.name) AS i "
      "WHERE l.\"unique\" AND NOT l.partial ORDER BY key, place",
      {table});
  std::vector<std::vector<std::string>> keys;
  std::int64_t last = 0;
  for (auto& row : found.rows) {
    if (keys.empty() || std::get<std::int64_t>(row[0]) != last) keys.emplace_back();
    last = std::get<std::int64_t>(row[0]);
    keys.back().push_back(std::get<std::string>(row[1]));
  }
  return keys;
}

// True where a column of this declared type would keep a value as another one than was given: its affinity turns
// numbers into text, whole numbers into reals, or text that looks like a number into one
// (https://www.sqlite.org/datatype3.html, 3.1).
bool would_change(std::string declared, column_type type) {
  for (char& c : declared) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  auto says = [&](const char* part) { return declared.find(part) != std::string::npos; };
  bool whole = says("INT");
  bool text = !whole && (says("CHAR") || says("CLOB") || says("TEXT"));
  bool real = !whole && !text && (says("REAL") || says("FLOA") || says("DOUB"));
  bool number = !whole && !text && !real && !declared.empty() && !says("BLOB");  // NUMERIC, which "JSON" means too
  bool number_given = type == column_type::integer || type == column_type::real || type == column_type::boolean;
  if (number_given) return text || (real && type == column_type::integer);
  if (number) return type == column_type::text || type == column_type::json;
  return (whole || real) && type != column_type::blob;
}

// Of the table that an INSERT would mean.
bool is_view(session& s, const std::string& table) {
  result found = s.query("SELECT type = 'view' FROM pragma_table_list(?) ORDER BY schema <> 'temp' LIMIT 1", {table});
  return std::get<std::int64_t>(found.rows.at(0).at(0)) != 0;
}

// True when the column is the rowid by another name, which alone is given numbers
// (https://www.sqlite.org/lang_createtable.html, ROWIDs and the INTEGER PRIMARY KEY).
bool gives_ids(session& s, const table_definition& wanted) {
  result found = s.query(
      "SELECT count(*) = 1 AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk') "
      "FROM pragma_table_info(?1) WHERE pk AND upper(type) = 'INTEGER' AND name = ?2 COLLATE NOCASE "
      "AND NOT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE pk > 1)",
      {wanted.name, wanted.id_column});
  return std::get<std::int64_t>(found.rows.at(0).at(0)) != 0;
}

std::vector<std::string> type_differences(const table_definition& wanted,
                                          const std::vector<existing_column>& existing) {
  std::vector<std::string> differences;
  for (const table_column& column : wanted.columns)
    for (const existing_column& there : existing)
      if (same_name(there.name, column.name) && would_change(there.declared_type, column.type))
        differences.push_back("column '" + column.name + "' is " + there.declared_type + ", which does not keep " +
                              std::string(name_of(column.type)) + " values as they are");
  return differences;
}

}  // namespace

void session::prepare_table(const table_definition& definition) {
  execute(create_table_sql(definition), {});
  std::vector<existing_column> existing = columns_of(*this, definition.name);
  std::vector<std::string> differences =
      table_differences(definition, existing, unique_keys_of(*this, definition.name));
  if (!definition.id_column.empty() && differences.empty() && !gives_ids(*this, definition))
    differences.push_back("column '" + definition.id_column + "' is no INTEGER PRIMARY KEY, so it gets no numbers");
  if (is_view(*this, definition.name))
    differences = {"it is a view: how many rows an INSTEAD OF trigger stores is not told; name the table behind it"};
  for (std::string& difference : type_differences(definition, existing)) differences.push_back(std::move(difference));
  if (differences.empty()) return;
  std::string list;
  for (const std::string& difference : differences) list += (list.empty() ? "" : "; ") + difference;
  throw database_error(db_errc::table_drift, "table '" + definition.name + "' exists but does not fit: " + list);
}

}  // namespace penstock::db::sqlite
