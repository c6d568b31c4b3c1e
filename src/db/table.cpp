#include "penstock/db/table.h"

#include <algorithm>

namespace penstock::db {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::vector<std::string> table_differences(const table_definition& wanted, const std::vector<existing_column>& existing,
                                           const std::vector<std::vector<std::string>>& unique_keys, name_case names) {
  std::vector<std::string> differences;
  auto same = [names](std::string_view a, std::string_view b) {
    return names == name_case::kept ? a == b : same_name(a, b);
  };
  auto find = [&](const std::string& name) {
    return std::find_if(existing.begin(), existing.end(), [&](const existing_column& c) { return same(c.name, name); });
  };
  if (!wanted.id_column.empty() && find(wanted.id_column) == existing.end())
    differences.push_back("column '" + wanted.id_column + "' (the generated id) is missing");
  for (const table_column& column : wanted.columns)
    if (find(column.name) == existing.end())
      differences.push_back("column '" + column.name + "' (" + std::string(name_of(column.type)) + ") is missing");
  for (const existing_column& column : existing) {
    bool filled = same(column.name, wanted.id_column) ||
                  std::any_of(wanted.columns.begin(), wanted.columns.end(),
                              [&](const table_column& c) { return same(c.name, column.name); });
    if (column.required && !filled)
      differences.push_back("column '" + column.name +
                            "' is NOT NULL without a default, and the stream does not fill it");
  }
  auto is_key = [&](const std::vector<std::string>& key) {  // no name is in it twice
    return std::is_permutation(key.begin(), key.end(), wanted.unique_key.begin(), wanted.unique_key.end(), same);
  };
  bool has_key = wanted.unique_key.empty() || std::any_of(unique_keys.begin(), unique_keys.end(), is_key);
  if (!has_key) {
    std::string list;
    for (const std::string& name : wanted.unique_key) list += (list.empty() ? "" : ", ") + name;
    differences.push_back("there is no unique index on (" + list + ")");
  }
  return differences;
}

std::string quote_identifier(std::string_view name) {
  std::string quoted = "\"";
  for (char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace penstock::db
