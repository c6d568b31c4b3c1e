#include "known_table.h"

#include "sql.h"
#include "wire.h"
#include "wire_text.h"

#include <algorithm>

namespace penstock::db::mariadb {
namespace {

// What some character set of a column takes for a blank: U+00A0 too, in those of one byte.
bool ends_blank(std::string_view text) noexcept {
  return !text.empty() &&
         (std::string_view(" \t\n\v\f\r").find(text.back()) != std::string_view::npos || text.ends_with("\xc2\xa0"));
}

bool is_of_a_name(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
         (static_cast<unsigned char>(c) & 0x80) != 0;
}

std::size_t characters_in(std::string_view text) noexcept {
  auto begins_one = [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; };
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_one));
}

// What is beneath a view, an account need not see.
std::string triggers_sql(const std::string& table) {
  std::string sql =
      "SELECT ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE EVENT_MANIPULATION = 'INSERT' AND ACTION_TIMING "
      "= 'BEFORE' AND "
      "EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = ";
  append_quoted(sql, table);
  sql +=
      " UNION ALL SELECT '' FROM information_schema.TABLES WHERE TABLE_TYPE = 'VIEW' AND TABLE_SCHEMA = DATABASE() AND "
      "TABLE_NAME = ";
  append_quoted(sql, table);
  return sql;
}

std::string limits_sql(const std::string& table) {
  std::string sql =
      "SELECT COLUMN_NAME, CHARACTER_MAXIMUM_LENGTH, DATA_TYPE, CHARACTER_SET_NAME FROM information_schema.COLUMNS "
      "WHERE COLLATION_NAME IS NOT NULL AND CHARACTER_MAXIMUM_LENGTH > 0 AND TABLE_SCHEMA = DATABASE() AND TABLE_NAME "
      "= ";
  append_quoted(sql, table);
  return sql;
}

}  // namespace

std::string known_table_sql(const std::string& table) { return limits_sql(table) + ";" + triggers_sql(table); }

// The types of text have a limit of bytes, and VARCHAR one of characters.
known_table known_table_from(const text_result& columns, const text_result& triggers) {
  known_table known;
  for (const auto& row : columns.rows) {
    bool in_bytes = row[2] != "varchar" && row[3].value_or("").starts_with("utf8");
    known.limits.push_back({row[0].value_or(""), static_cast<std::size_t>(number_in(row[1])), in_bytes});
  }
  known.has_triggers = !triggers.rows.empty();
  for (const auto& row : triggers.rows) {
    known.is_view = known.is_view || row[0] == "";
    known.trigger_texts += row[0].value_or("") + '\n';
  }
  known.asked_for = scheduler::current().now();
  return known;
}

bool names(std::string_view sql, std::string_view column) {
  std::string_view rest = sql;
  for (bool behind_a_name = false; rest.size() >= column.size();) {
    bool found = same_name(rest.substr(0, column.size()), column);
    bool ends = rest.size() == column.size() || !is_of_a_name(rest[column.size()]);
    if (found && ends && !behind_a_name) return true;
    behind_a_name = is_of_a_name(rest.front());
    rest.remove_prefix(1);
  }
  return false;
}

std::optional<std::string> cut_by(const text_limit& limit, const cell& c) {
  if (c.type != cell::kind::text || c.size <= limit.most || !ends_blank(c.text())) return std::nullopt;
  std::size_t size = limit.in_bytes ? c.size : characters_in(c.text());
  if (size <= limit.most) return std::nullopt;
  const char* unit = limit.in_bytes ? " bytes" : " characters";
  return "Data too long for column '" + limit.column + "': it takes " + std::to_string(limit.most) + unit +
         ", blanks at the end too";
}

}  // namespace penstock::db::mariadb
