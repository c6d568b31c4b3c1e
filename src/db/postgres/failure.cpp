#include "failure.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace penstock::db::postgres {
namespace {

// Looked up by the whole code first, then by its class, the first two characters.
constexpr std::array<std::pair<std::string_view, db_errc>, 38> known{{
    {"40001", db_errc::serialization},
    {"40P01", db_errc::deadlock},
    {"55P03", db_errc::lock_timeout},
    {"2200H", db_errc::full},  // a sequence has no number left, whatever the row
    {"25006", db_errc::read_only},
    {"25P03", db_errc::connection_lost},
    {"25P04", db_errc::interrupted},  // transaction_timeout, which ends the session
    {"42501", db_errc::auth},
    {"53100", db_errc::full},
    {"53300", db_errc::too_many_connections},
    {"57014", db_errc::interrupted},
    {"57P01", db_errc::connection_lost},
    {"57P02", db_errc::connection_lost},
    {"57P03", db_errc::connection_lost},
    {"57P04", db_errc::connection_lost},
    {"57P05", db_errc::connection_lost},
    {"08P01", db_errc::other},
    {"44000", db_errc::constraint},
    {"XX001", db_errc::corrupt},
    {"XX002", db_errc::corrupt},
    {"08", db_errc::connection_lost},
    {"0A", db_errc::syntax},
    {"20", db_errc::syntax},
    {"21", db_errc::data},
    {"22", db_errc::data},
    {"23", db_errc::constraint},
    {"26", db_errc::syntax},
    {"28", db_errc::auth},
    {"34", db_errc::syntax},
    {"3D", db_errc::syntax},
    {"3F", db_errc::syntax},
    {"42", db_errc::syntax},
    {"54", db_errc::data},
    {"2B", db_errc::constraint},
    {"2F", db_errc::other},
    {"38", db_errc::constraint},  // raised by functions of other languages, such as triggers
    {"39", db_errc::constraint},
    {"P0", db_errc::constraint},  // RAISE, ASSERT and the like of PL/pgSQL
}};

std::string without_line_end(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::string_view field_view(const PGresult* r, int code) noexcept {
  const char* text = PQresultErrorField(r, code);
  return text == nullptr ? std::string_view() : text;
}

std::string field(const PGresult* r, int code) { return std::string(field_view(r, code)); }

// Whether another attempt may go well.
bool passes(db_errc errc) noexcept {
  switch (errc) {
    case db_errc::serialization:
    case db_errc::deadlock:
    case db_errc::lock_timeout:
    case db_errc::read_only:
    case db_errc::too_many_connections:
    case db_errc::connection_lost:
    case db_errc::interrupted:
      return true;
    default:
      return false;
  }
}

bool raised_by_function(const PGresult* r) noexcept {
  return field_view(r, PG_DIAG_SOURCE_FILE) == "pl_exec.c";  // RAISE, ASSERT, CASE, a missing RETURN
}

bool failed_in_function(const PGresult* r) noexcept {
  // "PL/pgSQL function f() line 3 at …", whatever the language of messages.
  return field_view(r, PG_DIAG_CONTEXT).find("PL/pgSQL") != std::string_view::npos;
}

// Whether a function, such as a trigger's or a check's, has failed, for its row: it may RAISE any SQLSTATE. What the
// server lacks, or fails in, while it runs a statement of the function is the server's own: classes 53, 58 and XX, and
// numbers of a sequence. A table or a right that the statement lacks (class 42) may be lacking for all rows.
bool comes_from_function(const PGresult* r) noexcept {
  if (raised_by_function(r)) return true;
  std::string_view sqlstate = sqlstate_of(r);
  bool is_servers = sqlstate == "2200H" || sqlstate.starts_with("53") || sqlstate.starts_with("58") ||
                    sqlstate.starts_with("XX") || sqlstate.starts_with("42");
  return !is_servers && failed_in_function(r);
}

// What reads a value that has a syntax of its own (tsquery, jsonpath, ltree, …) calls that a syntax error, as of the
// statement, or an internal one. Statements are read in src/backend/parser, and functions in src/pl/plpgsql/src; a few
// are refused when they are analysed, or run.
bool is_of_value(const PGresult* r) noexcept {
  std::string_view file = field_view(r, PG_DIAG_SOURCE_FILE);
  std::string_view sqlstate = sqlstate_of(r);
  if (file == "xml.c") return sqlstate.starts_with("10") || sqlstate.starts_with("XX");
  constexpr std::array<std::string_view, 9> of_statements{"scan.l",      "gram.y",         "pl_scanner.c",
                                                          "pl_gram.y",   "pl_comp.c",      "analyze.c",
                                                          "namespace.c", "functioncmds.c", "spi.c"};
  return sqlstate == "42601" && !file.empty() && !file.starts_with("parse") &&
         std::find(of_statements.begin(), of_statements.end(), file) == of_statements.end();
}

// libpq keeps the SQLSTATE of a refused connect to itself, but writes it when it is to be verbose:
// "FATAL:  53300: sorry, too many clients already".
std::string sqlstate_in(std::string_view message) {
  for (std::size_t at = message.find(":  "); at != std::string_view::npos; at = message.find(":  ", at + 1)) {
    std::string_view code = message.substr(at + 3, 6);
    bool is_code = code.size() == 6 && code[5] == ':' && std::all_of(code.begin(), code.begin() + 5, [](char c) {
                     return std::isdigit(static_cast<unsigned char>(c)) != 0 || (c >= 'A' && c <= 'Z');
                   });
    if (is_code) return std::string(code.substr(0, 5));
  }
  return {};
}

}  // namespace

db_errc classify(std::string_view sqlstate) noexcept {
  for (std::string_view part : {sqlstate, sqlstate.substr(0, 2)})
    for (const auto& [code, errc] : known)
      if (code == part) return errc;
  return db_errc::other;
}

std::optional<db_errc> refusal_of_row(const PGresult* r) noexcept {
  db_errc errc = classify(sqlstate_of(r));
  if (errc == db_errc::constraint || errc == db_errc::data) return errc;
  if (is_of_value(r)) return db_errc::data;
  // Row-level security has the SQLSTATE of a missing right.
  bool row_decides =
      field_view(r, PG_DIAG_SOURCE_FUNCTION) == "ExecWithCheckOptions" || (!passes(errc) && comes_from_function(r));
  return row_decides ? std::optional(db_errc::constraint) : std::nullopt;
}

bool lacks_in_function(const PGresult* r) noexcept {
  return sqlstate_of(r).starts_with("42") && failed_in_function(r) && !raised_by_function(r);
}

bool may_be_of_row(const PGresult* r) noexcept {
  constexpr std::array<std::string_view, 10> servers_own{"08", "25", "26", "34", "53", "55", "57", "58", "HV", "XX"};
  std::string_view sqlstate = sqlstate_of(r);
  if (lacks_in_function(r)) return true;
  db_errc errc = classify(sqlstate);
  return (errc == db_errc::syntax || errc == db_errc::other) && field_view(r, PG_DIAG_SOURCE_FILE) != "plancache.c" &&
         std::none_of(servers_own.begin(), servers_own.end(),
                      [&](std::string_view first) { return sqlstate.starts_with(first); });
}

bool may_lack_row(const PGresult* r) noexcept {
  return sqlstate_of(r) == "23503" || raised_by_function(r) || failed_in_function(r);
}

bool is_failure(const PGresult* r) noexcept {
  ExecStatusType status = PQresultStatus(r);
  return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

std::string_view sqlstate_of(const PGresult* r) noexcept {
  const char* code = PQresultErrorField(r, PG_DIAG_SQLSTATE);
  return code == nullptr ? std::string_view() : code;
}

std::string said_by(const PGresult* r) {
  std::string said = field(r, PG_DIAG_MESSAGE_PRIMARY);
  if (said.empty()) return without_line_end(PQresultErrorMessage(r));
  std::string detail = field(r, PG_DIAG_MESSAGE_DETAIL);
  if (!detail.empty()) said.append("; ").append(detail);
  return said;
}

database_error failure_of(const PGresult* r, const std::string& doing) {
  std::string sqlstate(sqlstate_of(r));
  return {classify(sqlstate), "PostgreSQL, " + doing + ": " + said_by(r), 0, sqlstate};
}

database_error failure_of_rows(const PGresult* r, const std::string& doing) {
  database_error failure = failure_of(r, doing);
  if (failure.errc() != db_errc::auth || !lacks_in_function(r)) return failure;
  return {db_errc::other, failure.message(), 0, failure.sqlstate()};
}

// What libpq itself refuses, in its own words (src/interfaces/libpq/fe-secure-openssl.c, fe-connect.c): trying again
// changes nothing.
bool is_of_credentials(PGconn* c, std::string_view said) {
  constexpr std::string_view before = "failed: ";  // and behind the host, or the socket's path
  std::size_t found = said.rfind(before);
  if (found != std::string_view::npos) said.remove_prefix(found + before.size());
  constexpr std::array<std::string_view, 4> refusals{"server does not support SSL", "certificate", "private key file",
                                                     "no password supplied"};
  return PQconnectionNeedsPassword(c) != 0 ||
         std::any_of(refusals.begin(), refusals.end(),
                     [&](std::string_view refusal) { return said.find(refusal) != std::string_view::npos; });
}

// The account, the database, and what is asked for at a login may be wrong for good, which PgBouncer has one SQLSTATE
// for (src/client.c). All else may pass: what a pooler says of its servers, or a trigger of the login.
db_errc class_of_login(std::string_view sqlstate, std::string_view said) noexcept {
  db_errc errc = classify(sqlstate);
  constexpr std::array<std::string_view, 6> for_good{"authentication failed", "does not exist",
                                                     "no such user",          "no such database",
                                                     "login rejected",        "unsupported startup parameter"};
  bool is_wrong = sqlstate == "08P01" && std::any_of(for_good.begin(), for_good.end(), [&](std::string_view words) {
                    return said.find(words) != std::string_view::npos;
                  });
  bool stays = errc == db_errc::auth || errc == db_errc::syntax || errc == db_errc::too_many_connections ||
               sqlstate == "22023" || is_wrong;
  return stays ? errc : db_errc::connection_lost;
}

database_error connect_failure(PGconn* c) {
  if (c == nullptr) return {db_errc::other, "PostgreSQL: out of memory"};
  std::string said = without_line_end(PQerrorMessage(c));
  std::string sqlstate = sqlstate_in(said);
  std::size_t location = said.find("\nLOCATION:");  // of the server's source code
  if (!sqlstate.empty() && location != std::string::npos) said.erase(location);
  db_errc errc = is_of_credentials(c, said) ? db_errc::auth : db_errc::connection_lost;
  return {sqlstate.empty() ? errc : class_of_login(sqlstate, said), "PostgreSQL: " + said, 0, sqlstate};
}

database_error loss_of(PGconn* c, const std::string& doing) {
  return {db_errc::connection_lost,
          "PostgreSQL, " + doing + ": the connection was lost: " + without_line_end(PQerrorMessage(c))};
}

database_error without_standby() {
  return {db_errc::ambiguous_commit,
          "PostgreSQL: the wait for the synchronous standby was cut short: what was committed may not be on it"};
}

}  // namespace penstock::db::postgres
