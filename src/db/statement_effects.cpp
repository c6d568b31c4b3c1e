#include "statement_effects.h"

#include <algorithm>
#include <array>

// Invariant: a statement that is not known to be harmless counts as one that leaves traces. That costs a reset, where
// the opposite would hand one user's session on to another.

namespace penstock::db {
namespace {

// They change rows, tables, rights or transactions, which are the database's.
constexpr std::array<std::string_view, 21> harmless{
    "TRUNCATE", "DROP",     "ALTER",    "COMMENT",   "GRANT",  "REVOKE", "SHOW",
    "COPY",     "START",    "COMMIT",   "END",       "KILL",   "NOTIFY", "REINDEX",
    "OPTIMIZE", "DESCRIBE", "ROLLBACK", "SAVEPOINT", "VACUUM", "RENAME", "RELEASE"};

// They do what the rest of their text says.
struct telling {
  std::array<std::string_view, 7> words;
  std::array<std::string_view, 8> traces;
};
constexpr std::array<telling, 4> looked_into{{
    {{"SELECT", "WITH", "VALUES", "TABLE", "DESC", "ANALYZE"},
     {":=", "INTO", "GET_LOCK", "ADVISORY_LOCK", "SET_CONFIG"}},
    {{"EXPLAIN"},  // SQLite carries a PRAGMA out, and EXPLAIN ANALYZE whatever follows
     {":=", "INTO", "GET_LOCK", "ADVISORY_LOCK", "SET_CONFIG", "PRAGMA", "TEMP", "EXECUTE"}},
    {{"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE"},
     {":=", "GET_LOCK", "ADVISORY_LOCK", "SET_CONFIG", "PG_SETTINGS"}},
    {{"CREATE", "BEGIN"}, {"TEMP", "ATOMIC", ":=", "GET_LOCK", "ADVISORY_LOCK", "SET_CONFIG"}},
}};

char upper(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c; }
bool same_letter(char a, char b) noexcept { return upper(a) == b; }
bool is_letter(char c) noexcept { return upper(c) >= 'A' && upper(c) <= 'Z'; }

// How long the comment is that the text begins with. PostgreSQL's nest; one that ends in other databases alone does
// not.
std::size_t length_of_comment(std::string_view sql) noexcept {
  std::size_t depth = 0;
  for (std::size_t at = 0; at + 1 < sql.size(); ++at) {
    std::string_view here = sql.substr(at, 2);
    if (here == "/*") ++depth, ++at;
    if (here == "*/" && --depth == 0) return at + 2;
    if (here == "*/") ++at;
  }
  std::size_t end = sql.find("*/", 2);
  return end == std::string_view::npos ? sql.size() : end + 2;
}

// Without blanks, comments and parentheses before it.
std::string_view from_first_word(std::string_view sql) noexcept {
  while (!sql.empty()) {
    std::size_t skipped = 1;
    if (sql.starts_with("--") || sql.starts_with('#'))
      skipped = sql.find('\n');
    else if (sql.starts_with("/*"))
      skipped = length_of_comment(sql);
    else if (is_letter(sql.front()))
      return sql;
    sql.remove_prefix(std::min(skipped, sql.size()));
  }
  return sql;
}

bool is_word(std::string_view word, std::string_view name) noexcept {
  return !name.empty() && std::equal(word.begin(), word.end(), name.begin(), name.end(), same_letter);
}

bool is_one_of(std::string_view word, const auto& list) noexcept {
  return std::any_of(list.begin(), list.end(), [&](std::string_view name) { return is_word(word, name); });
}

bool mentions(std::string_view sql, std::string_view what) noexcept {
  return !what.empty() && std::search(sql.begin(), sql.end(), what.begin(), what.end(), same_letter) != sql.end();
}

// Of what begins with a letter.
std::string_view first_word(std::string_view sql) noexcept {
  auto* end = std::find_if_not(sql.begin(), sql.end(), is_letter);
  return {sql.begin(), static_cast<std::size_t>(end - sql.begin())};
}

}  // namespace

bool leaves_traces(std::string_view sql) noexcept {
  sql = from_first_word(sql);
  std::string_view word = first_word(sql);
  if (is_one_of(word, harmless)) return false;
  for (const telling& kind : looked_into)
    if (is_one_of(word, kind.words))
      return std::any_of(kind.traces.begin(), kind.traces.end(), [&](auto trace) { return mentions(sql, trace); });
  return true;
}

bool changes_rows(std::string_view sql) noexcept {
  constexpr std::array<std::string_view, 4> changing{"INSERT", "REPLACE", "DELETE", "UPDATE"};
  return is_one_of(first_word(from_first_word(sql)), changing);
}

bool only_sets(std::string_view sql) noexcept { return is_word(first_word(from_first_word(sql)), "SET"); }

bool only_sets_back(std::string_view sql) noexcept {
  constexpr std::array<std::string_view, 7> setting{"SET", "RESET", "DISCARD", "ROLLBACK", "ABORT", "COMMIT", "END"};
  return is_one_of(first_word(from_first_word(sql)), setting);
}

// EXPLAIN ANALYZE may change rows.
bool only_asks(std::string_view sql) noexcept {
  constexpr std::array<std::string_view, 5> asking{"SELECT", "WITH", "VALUES", "TABLE", "SHOW"};
  return is_one_of(first_word(from_first_word(sql)), asking);
}

bool only_reads(std::string_view sql) noexcept {
  constexpr std::array<std::string_view, 4> reading{"SELECT", "PRAGMA", "VALUES", "EXPLAIN"};
  constexpr std::array<std::string_view, 4> changing{"INSERT", "INTO", "UPDATE", "DELETE"};
  sql = from_first_word(sql);
  if (!is_word(first_word(sql), "WITH")) return is_one_of(first_word(sql), reading);
  auto is_in_word = [](char c) { return is_letter(c) || c == '_' || (c >= '0' && c <= '9'); };
  while (!sql.empty()) {
    auto* end = std::find_if_not(sql.begin(), sql.end(), is_in_word);
    auto length = static_cast<std::size_t>(end - sql.begin());
    if (is_one_of(sql.substr(0, length), changing)) return false;
    sql.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return true;
}

bool may_commit_halfway(std::string_view sql) noexcept {
  constexpr std::array<std::string_view, 2> procedures{"CALL", "DO"};
  return is_one_of(first_word(from_first_word(sql)), procedures);
}

}  // namespace penstock::db
