#include "grants.h"

#include "sql.h"

#include <algorithm>

// https://mariadb.com/kb/en/grant/: a right to some columns is written `INSERT ("a", "b")`, and `%`, `_` and `\` in the
// name of a database are those of LIKE.

namespace penstock::db::mariadb {
namespace {

// Takes a name, in quotes or "*", and the dot behind it.
std::string take_name(std::string_view& text) {
  std::string name;
  char quote = text.empty() ? ' ' : text.front();
  std::size_t at = 1;
  if (quote == '*') name = "*";
  if (quote == '`' || quote == '"')
    for (; at < text.size(); ++at) {
      if (text[at] == quote && text.substr(at + 1, 1) != std::string_view(&quote, 1)) break;
      if (text[at] == quote) ++at;
      name += text[at];
    }
  text.remove_prefix(std::min(text.find_first_of(". ", at), text.size()));
  if (text.starts_with('.')) text.remove_prefix(1);
  return name;
}

// Without the columns that they are for.
std::vector<std::string> split_rights(std::string_view text) {
  std::vector<std::string> rights(1);
  bool in_columns = false;
  for (char c : text) {
    if (c == '(' || c == ')') in_columns = c == '(';
    if (in_columns || c == ')') continue;
    if (c == ',')
      rights.emplace_back();
    else if (c != ' ' || !rights.back().empty())
      rights.back() += c;
  }
  for (std::string& right : rights)
    if (right.ends_with(' ')) right.pop_back();
  return rights;
}

bool is_like(std::string_view text, std::string_view pattern) {
  for (; !pattern.empty(); pattern.remove_prefix(1), text.remove_prefix(1)) {
    if (pattern.front() == '%') {
      for (std::size_t at = 0; at <= text.size(); ++at)
        if (is_like(text.substr(at), pattern.substr(1))) return true;
      return false;
    }
    if (text.empty()) return false;
    if (pattern.front() == '_') continue;
    if (pattern.front() == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
    if (!same_name(text.substr(0, 1), pattern.substr(0, 1))) return false;
  }
  return text.empty();
}

// The pattern that is like this name alone.
std::string as_pattern(std::string_view name) {
  std::string pattern;
  for (char c : name) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace

void grants::add(std::string_view line) {
  constexpr std::string_view on = " ON ";
  bool revokes = line.starts_with("REVOKE ");
  std::size_t where = line.find(on);
  if (!(revokes || line.starts_with("GRANT ")) || where == std::string_view::npos)
    return;  // a role is granted, or it is SET DEFAULT ROLE
  std::string_view rights = line.substr(0, where);
  std::string_view object = line.substr(where + on.size());
  rights.remove_prefix(rights.find(' ') + 1);
  privileges told;
  told.rights = split_rights(rights);
  told.database = take_name(object);
  told.table = take_name(object);
  told.are_global = told.database == "*" && told.table == "*";
  if (told.database == "*")
    told.database = "%";
  else if (revokes)
    told.database = as_pattern(told.database);
  (revokes ? revoked_ : given_).push_back(std::move(told));  // those ON PROCEDURE have no names here
}

bool grants::are_among(const privileges& some, std::string_view right) {
  return std::any_of(some.rights.begin(), some.rights.end(),
                     [&](const std::string& r) { return r == right || r == "ALL PRIVILEGES" || r == "ALL"; });
}

bool grants::are_for(const privileges& some, std::string_view right, std::string_view database,
                     std::string_view table) {
  bool to_it = is_like(database, some.database) && (some.table == "*" || same_name(some.table, table));
  return to_it && are_among(some, right);
}

bool grants::give(std::string_view right, std::string_view database, std::string_view table) const {
  auto is_for_it = [&](const privileges& some) { return are_for(some, right, database, table); };
  return std::any_of(given_.begin(), given_.end(), is_for_it) &&
         std::none_of(revoked_.begin(), revoked_.end(), is_for_it);
}

bool grants::give_everywhere(std::string_view right) const {
  return std::any_of(given_.begin(), given_.end(),
                     [&](const privileges& some) { return some.are_global && are_among(some, right); });
}

}  // namespace penstock::db::mariadb
