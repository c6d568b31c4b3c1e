#include "definition_faults.h"

#include "penstock/db/error.h"

#include <algorithm>

namespace penstock::db {
namespace {

std::size_t length_of(std::string_view name, name_unit unit) {
  auto begins_character = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  if (unit == name_unit::bytes) return name.size();
  return static_cast<std::size_t>(std::count_if(name.begin(), name.end(), begins_character));
}

[[noreturn]] void fail(const table_definition& definition, const char* what, const std::vector<std::string>& reasons) {
  std::string list;
  for (const std::string& reason : reasons) list += (list.empty() ? "" : "; ") + reason;
  throw database_error(db_errc::table_drift, "table '" + definition.name + "' " + what + ": " + list);
}

}  // namespace

std::vector<std::string> long_names(const table_definition& definition, std::size_t most, name_unit unit,
                                    bool has_schemas) {
  std::vector<std::string> faults;
  std::string beyond = " is longer than the " + std::to_string(most) +
                       (unit == name_unit::bytes ? " bytes" : " characters") +
                       " that the database keeps of it: shorten it";
  auto is_long = [&](std::string_view name) { return length_of(name, unit) > most; };
  std::string_view table = definition.name;
  std::size_t dot = has_schemas ? table.find('.') : std::string_view::npos;
  if (is_long(table.substr(0, dot)) || (dot != std::string_view::npos && is_long(table.substr(dot + 1))))
    faults.push_back("its name" + beyond);
  for (const table_column& column : definition.columns)
    if (is_long(column.name)) faults.push_back("the name of column '" + column.name + "'" + beyond);
  return faults;
}

void require_no_faults(const table_definition& definition, const std::vector<std::string>& faults) {
  if (!faults.empty()) fail(definition, "can't be made", faults);
}

void require_no_differences(const table_definition& definition, const std::vector<std::string>& differences) {
  if (!differences.empty()) fail(definition, "exists but does not fit", differences);
}

bool have_the_same_columns(const table_definition& a, const table_definition& b) {
  auto same = [](const table_column& x, const table_column& y) { return x.name == y.name && x.type == y.type; };
  return a.id_column == b.id_column && a.unique_key == b.unique_key &&
         std::equal(a.columns.begin(), a.columns.end(), b.columns.begin(), b.columns.end(), same);
}

std::string_view kind_of_key(const table_definition& definition) {
  auto may_be_null = [&](const table_column& column) {
    const std::vector<std::string>& key = definition.unique_key;
    return !column.required && std::find(key.begin(), key.end(), column.name) != key.end();
  };
  bool any_null = std::any_of(definition.columns.begin(), definition.columns.end(), may_be_null);
  return definition.id_column.empty() && !any_null ? "PRIMARY KEY" : "UNIQUE";
}

void require_width(const table_definition& into, const row_batch& rows) {
  if (rows.columns() == into.columns.size()) return;
  throw database_error(db_errc::data, "insert into " + into.name + ": the batch has " + std::to_string(rows.columns()) +
                                          " columns, but the table's definition " +
                                          std::to_string(into.columns.size()));
}

}  // namespace penstock::db
