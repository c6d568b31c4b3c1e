#include "failure.h"
#include "penstock/db/error.h"
#include "session.h"
#include "sql.h"

// Makes a table, or says how the one that exists differs.

namespace penstock::db::sqlite {
namespace {

std::vector<existing_column> columns_of(session& s, const std::string& table) {
  result found = s.query("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?)", {table});
  std::vector<existing_column> columns;
  for (auto& row : found.rows) {
    bool has_default = !std::holds_alternative<std::monostate>(row[3]);
    bool primary = std::get<std::int64_t>(row[4]) != 0;
    columns.push_back({std::get<std::string>(row[0]), std::get<std::string>(row[1]),
                       std::get<std::int64_t>(row[2]) != 0 && !has_default && !primary});
  }
  return columns;
}

std::vector<std::vector<std::string>> unique_keys_of(session& s, const std::string& table) {
  result found = s.query(
      "SELECT l.seq, i.name FROM pragma_index_list(?) AS l JOIN pragma_index_info(l.name) AS i WHERE l.\"unique\" "
      "ORDER BY l.seq, i.seqno",
      {table});
  std::vector<std::vector<std::string>> keys;
  std::int64_t last = -1;
  for (auto& row : found.rows) {
    if (std::get<std::int64_t>(row[0]) != last) keys.emplace_back();
    last = std::get<std::int64_t>(row[0]);
    keys.back().push_back(std::get<std::string>(row[1]));
  }
  return keys;
}

}  // namespace

void session::prepare_table(const table_definition& definition) {
  execute(create_table_sql(definition), {});
  std::vector<std::string> differences =
      table_differences(definition, columns_of(*this, definition.name), unique_keys_of(*this, definition.name));
  if (differences.empty()) return;
  std::string list;
  for (const std::string& difference : differences) list += (list.empty() ? "" : "; ") + difference;
  throw database_error(db_errc::table_drift, "table '" + definition.name + "' exists but does not fit: " + list);
}

}  // namespace penstock::db::sqlite
