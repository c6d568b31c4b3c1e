#include "placeholders.h"

#include <algorithm>

// The lexical rules: PostgreSQL manual, 4.1.

namespace penstock::db::postgres {
namespace {

bool is_identifier_part(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::size_t or_end(std::size_t position, std::string_view sql) { return std::min(position, sql.size()); }

// Each gives the place behind the piece that begins at `at`; the end of the text for one that does not end.

std::size_t after_quoted(std::string_view sql, std::size_t at, bool backslash_escapes) {
  char quote = sql[at];
  for (++at; at < sql.size(); ++at) {
    bool is_doubled = sql[at] == quote && at + 1 < sql.size() && sql[at + 1] == quote;
    if (is_doubled || (sql[at] == '\\' && backslash_escapes))
      ++at;
    else if (sql[at] == quote)
      return at + 1;
  }
  return sql.size();
}

std::size_t after_line(std::string_view sql, std::size_t at) { return or_end(sql.find('\n', at), sql); }

// Comments nest.
std::size_t after_comment(std::string_view sql, std::size_t at) {
  int depth = 0;
  while (at < sql.size()) {
    std::string_view two = sql.substr(at, 2);
    if (two == "/*")
      ++depth;
    else if (two == "*/")
      --depth;
    at += two == "/*" || two == "*/" ? 2 : 1;
    if (depth == 0) break;
  }
  return or_end(at, sql);
}

// "$tag$ … $tag$"; a lone '$' is one character.
std::size_t after_dollar(std::string_view sql, std::size_t at) {
  std::size_t end = at + 1;
  while (end < sql.size() && is_identifier_part(sql[end])) ++end;
  bool begins_with_digit = end > at + 1 && sql[at + 1] >= '0' && sql[at + 1] <= '9';
  if (end >= sql.size() || sql[end] != '$' || begins_with_digit) return at + 1;
  std::string_view tag = sql.substr(at, end + 1 - at);
  std::size_t close = sql.find(tag, end + 1);
  return close == std::string_view::npos ? sql.size() : close + tag.size();
}

// An identifier, or a prefix of a text such as E'…', whose backslashes escape.
std::size_t after_word(std::string_view sql, std::size_t at) {
  std::size_t end = at;
  while (end < sql.size() && (is_identifier_part(sql[end]) || sql[end] == '$')) ++end;
  bool escapes = end == at + 1 && (sql[at] == 'E' || sql[at] == 'e') && end < sql.size() && sql[end] == '\'';
  return escapes ? after_quoted(sql, end, true) : end;
}

std::size_t after_piece(std::string_view sql, std::size_t at) {
  char c = sql[at];
  if (c == '\'' || c == '"') return after_quoted(sql, at, false);
  if (sql.substr(at, 2) == "--") return after_line(sql, at);
  if (sql.substr(at, 2) == "/*") return after_comment(sql, at);
  if (c == '$') return after_dollar(sql, at);
  if (is_identifier_part(c)) return after_word(sql, at);
  return at + 1;
}

}  // namespace

numbered_sql number_placeholders(std::string_view sql) {
  numbered_sql numbered;
  numbered.text.reserve(sql.size() + 16);
  for (std::size_t at = 0; at < sql.size();) {
    if (sql[at] == '?') {
      bool is_operator = sql.substr(at, 2) == "??";
      if (is_operator)
        numbered.text += '?';
      else
        numbered.text.append("$").append(std::to_string(++numbered.parameters));
      at += is_operator ? 2 : 1;
      continue;
    }
    std::size_t end = after_piece(sql, at);
    numbered.text.append(sql.substr(at, end - at));
    at = end;
  }
  return numbered;
}

}  // namespace penstock::db::postgres
