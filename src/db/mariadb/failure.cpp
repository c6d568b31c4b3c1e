#include "failure.h"

#include <algorithm>
#include <array>
#include <utility>

#include <errmsg.h>
#include <mysqld_error.h>

// Sources: https://mariadb.com/kb/en/mariadb-error-codes/ and
// https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html. Codes that one of the two lacks are
// written as numbers.

namespace penstock::db::mariadb {
namespace {

constexpr unsigned first_of_mariadb = 5000;
constexpr unsigned rolled_back_by_group = 3101;  // ER_TRANSACTION_ROLLBACK_DURING_COMMIT

struct meaning {
  unsigned code;
  db_errc errc;
};

// In the order of their codes.
constexpr std::array meanings = std::to_array<meaning>({
    {1020, db_errc::serialization},         // record has changed since it was last read
    {1021, db_errc::full},                  // disk full
    {1022, db_errc::constraint},            // duplicate key on write
    {1040, db_errc::too_many_connections},  // too many connections
    {1044, db_errc::auth},                  // no right to the database
    {1045, db_errc::auth},                  // wrong user or password
    {1047, db_errc::connection_lost},       // a Galera node outside its cluster takes no statement
    {1048, db_errc::constraint},            // column cannot be null
    {1049, db_errc::syntax},                // unknown database
    {1052, db_errc::syntax},                // an ambiguous column
    {1053, db_errc::connection_lost},       // the server shuts down
    {1054, db_errc::syntax},                // unknown column
    {1062, db_errc::constraint},            // duplicate entry
    {1064, db_errc::syntax},                // parse error
    {1114, db_errc::full},                  // the table is full
    {1118, db_errc::data},                  // the row is too large
    {1129, db_errc::too_many_connections},  // the host is blocked because of connection errors
    {1130, db_errc::auth},                  // the host may not connect
    {1136, db_errc::syntax},                // more values than columns, or fewer
    {1142, db_errc::auth},                  // no right to the table
    {1143, db_errc::auth},                  // no right to the column
    {1146, db_errc::syntax},                // no such table
    {1153, db_errc::data},                  // packet larger than max_allowed_packet
    {1158, db_errc::connection_lost},       // network read error
    {1159, db_errc::connection_lost},       // network read timeout
    {1160, db_errc::connection_lost},       // network write error
    {1161, db_errc::connection_lost},       // network write timeout
    {1172, db_errc::constraint},            // SELECT INTO of several rows, as in a trigger
    {1203, db_errc::too_many_connections},  // max_user_connections
    {1205, db_errc::lock_timeout},          // lock wait timeout
    {1206, db_errc::lock_timeout},          // the lock table is full
    {1213, db_errc::deadlock},              // deadlock; on Galera, certification failed
    {1216, db_errc::constraint},            // no such parent row
    {1217, db_errc::constraint},            // the parent row is referred to
    {1222, db_errc::syntax},                // SELECTs of different widths
    {1226, db_errc::too_many_connections},  // a resource limit of the account
    {1227, db_errc::auth},                  // a privilege is missing
    {1241, db_errc::syntax},                // an operand of several columns
    {1242, db_errc::constraint},            // a subquery of several rows, as in a trigger
    {1264, db_errc::data},                  // out of range
    {1265, db_errc::data},                  // truncated
    {1290, db_errc::other},                 // an option forbids it; see classify
    {1292, db_errc::data},                  // incorrect value
    {1300, db_errc::data},                  // invalid character string
    {1301, db_errc::data},                  // result larger than max_allowed_packet
    {1317, db_errc::interrupted},           // killed by KILL QUERY
    {1321, db_errc::constraint},            // a function without RETURN, as in a trigger, and the next ones
    {1325, db_errc::constraint},            // a cursor is open already
    {1326, db_errc::constraint},            // a cursor is not open
    {1329, db_errc::constraint},            // FETCH of no row
    {1339, db_errc::constraint},            // CASE without a match
    {1364, db_errc::constraint},            // no default value
    {1365, db_errc::data},                  // division by zero
    {1366, db_errc::data},                  // incorrect value for the column
    {1367, db_errc::data},                  // illegal value
    {1369, db_errc::constraint},            // CHECK OPTION of a view
    {1406, db_errc::data},                  // too long
    {1411, db_errc::data},                  // incorrect datetime
    {1424, db_errc::constraint},            // a trigger that comes to itself
    {1442, db_errc::constraint},            // a trigger that changes its own table
    {1451, db_errc::constraint},            // the parent row is referred to
    {1452, db_errc::constraint},            // no such parent row
    {1456, db_errc::constraint},            // max_sp_recursion_depth
    {1467, db_errc::full},                  // ids are used up
    {1526, db_errc::constraint},            // no partition for the value
    {1643, db_errc::constraint},            // SIGNAL of a "not found"
    {1644, db_errc::constraint},            // SIGNAL, as in a trigger
    {1690, db_errc::data},                  // a number out of range
    {1698, db_errc::auth},                  // access denied without a password
    {1792, db_errc::read_only},             // in a READ ONLY transaction
    {1820, db_errc::auth},                  // the password has expired
    {1836, db_errc::read_only},             // read-only mode
    {1862, db_errc::auth},                  // the password has expired, said at once
    {1927, db_errc::connection_lost},       // killed by KILL CONNECTION
    {1969, db_errc::interrupted},           // max_statement_time
    {3024, db_errc::interrupted},           // max_execution_time
    {3032, db_errc::connection_lost},       // MySQL's offline_mode
    {3100, db_errc::connection_lost},       // a member that has left its replication group, at COMMIT
    {3101, db_errc::ambiguous_commit},      // a conflict in a group, or not; see classify
    {3118, db_errc::auth},                  // the account is locked, on MySQL
    {3140, db_errc::data},                  // invalid JSON text
    {3572, db_errc::lock_timeout},          // NOWAIT
    {3751, db_errc::data},                  // a value that does not fit MySQL's functional index
    {3819, db_errc::constraint},            // CHECK, on MySQL
    {3854, db_errc::data},                  // a text that its character set does not have, on MySQL
    {4025, db_errc::constraint},            // CHECK, on MariaDB
    {4031, db_errc::connection_lost},       // closed by MySQL after wait_timeout
    {4151, db_errc::auth},                  // the account is locked, on MariaDB
});

// From the first to the last: of functions that a check, a generated column or a trigger gives a row's values to.
struct span_of_codes {
  unsigned first;
  unsigned last;
};
constexpr std::array about_values = std::to_array<span_of_codes>({
    {1138, 1139},                // null where none may be, and a pattern that is none
    {1256, 1256},                // UNCOMPRESS, and the next ones
    {1258, 1259}, {1298, 1298},  // a time zone
    {1525, 1525},                // a value that is none of its kind
    {1649, 1649},                // a locale, as of FORMAT
    {1916, 1921},                // dynamic columns
    {1958, 1958},                // base64
    {3020, 3020},                // a logarithm
    {3033, 3043},                // geometry, and the next one
    {3045, 3055},                // more of it, on MySQL
    {3069, 3073},                // what is no GeoJSON, on MySQL
    {3141, 3157},                // JSON, on MySQL
    {3548, 3548},                // a spatial reference system that there is not
    {3643, 3643},                // one that is not its column's
    {3665, 3666},                // JSON_TABLE, on MySQL
    {3669, 3669},                // and a number that is too large for its column
    {3684, 3699},                // patterns, on MySQL
    {3903, 3908},                // what does not fit a functional or multi-valued index
    {4035, 4046},                // JSON, on MariaDB
    {4048, 4051},                // and what is no GeoJSON
    {4076, 4076},                // GeoJSON without coordinates
    {4176, 4176},                // JSON_TABLE, on MariaDB, and the next ones
    {4178, 4179}, {4183, 4183},  // SFORMAT
    {6136, 6138},                // what is no vector, on MySQL
});

bool is_about_value(unsigned code) noexcept {
  return std::any_of(about_values.begin(), about_values.end(),
                     [code](const span_of_codes& span) { return span.first <= code && code <= span.last; });
}

bool is_read_only(const complaint& c) noexcept {
  return c.code == 1290 &&
         (c.message.find("read-only") != std::string::npos || c.message.find("read_only") != std::string::npos);
}

// "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT", in whatever language: a transaction that a change
// from another member of the group came across. It is said where InnoDB prepares to commit or ends a statement, and
// what is prepared is rolled back no more that way: so nobody else has it. MariaDB writes its numbers otherwise.
bool is_met_by_group(const complaint& c) noexcept {
  constexpr std::string_view number = "149 - '";
  std::size_t at = c.message.find(number);
  return c.code == 1180 && at != std::string::npos && (at == 0 || c.message[at - 1] == ' ');
}

db_errc by_sqlstate(std::string_view state) noexcept {
  if (state.starts_with("08")) return db_errc::connection_lost;
  if (state.starts_with("20") || state.starts_with("21")) return db_errc::constraint;  // CASE, subquery, in a trigger
  if (state.starts_with("22")) return db_errc::data;
  if (state.starts_with("23")) return db_errc::constraint;
  if (state.starts_with("28")) return db_errc::auth;
  if (state == "40001") return db_errc::deadlock;
  if (state.starts_with("42")) return db_errc::syntax;
  if (state.starts_with("44")) return db_errc::constraint;
  return db_errc::other;
}

// TLS has one code for a certificate that is refused and for a connection that ended in the middle of a handshake; the
// words are those of GnuTLS and OpenSSL.
bool is_cut_handshake(const complaint& c) noexcept {
  constexpr std::array<std::string_view, 8> words{"terminated",    "eof",           "reset",   "Broken pipe",
                                                  "push function", "pull function", "SYSCALL", "timed out"};
  return c.code == CR_SSL_CONNECTION_ERROR && std::any_of(words.begin(), words.end(), [&](std::string_view word) {
           return c.message.find(word) != std::string::npos;
         });
}

// SIGNAL may give any code, such as that of a deadlock.
bool is_signalled(const complaint& c) noexcept { return c.sqlstate.starts_with("45"); }

bool is_clients(unsigned code) noexcept {
  return (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR) || (code >= first_of_mariadb && code < first_of_mariadb + 100);
}

db_errc classify_clients(unsigned code) noexcept {
  switch (code) {
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_UNKNOWN_HOST:
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_HANDSHAKE_ERR:
    case CR_SERVER_LOST:
    case CR_SERVER_LOST_EXTENDED:
    case CR_MALFORMED_PACKET:
    case CR_IPSOCK_ERROR:
      return db_errc::connection_lost;
    case CR_SSL_CONNECTION_ERROR:  // see `is_cut_handshake`
    case CR_AUTH_PLUGIN_CANNOT_LOAD:
      return db_errc::auth;
    case CR_NET_PACKET_TOO_LARGE:
      return db_errc::data;
    case CR_NEW_STMT_METADATA:  // the table was altered between two executions
      return db_errc::serialization;
    default:
      return db_errc::other;
  }
}

}  // namespace

db_errc classify(const complaint& c) noexcept {
  if (is_signalled(c)) return db_errc::constraint;
  if (is_cut_handshake(c)) return db_errc::connection_lost;
  if (is_clients(c.code)) return classify_clients(c.code);
  if (is_read_only(c)) return db_errc::read_only;
  if (is_met_by_group(c) || c.is_known_conflict) return db_errc::deadlock;
  auto at = std::lower_bound(meanings.begin(), meanings.end(), c.code,
                             [](const meaning& m, unsigned code) { return m.code < code; });
  if (at != meanings.end() && at->code == c.code) return at->errc;
  return is_about_value(c.code) ? db_errc::data : by_sqlstate(c.sqlstate);
}

// A server that turned read-only will not take what the session is for, and neither will a node without its cluster.
bool ends_session(const complaint& c) noexcept {
  if (is_signalled(c)) return false;
  if (is_clients(c.code)) return c.code != CR_NEW_STMT_METADATA && c.code != CR_NET_PACKET_TOO_LARGE;
  return classify(c) == db_errc::connection_lost || c.code == 1153 || c.code == 1836 || is_read_only(c);
}

// A node of a cluster that loses it in the middle of a COMMIT complains in several ways (1180 among them), and its
// transaction may have reached the others.
bool rolls_commit_back(const complaint& c) noexcept {
  switch (classify(c)) {
    case db_errc::constraint:
    case db_errc::deadlock:
    case db_errc::lock_timeout:
    case db_errc::serialization:
    case db_errc::read_only:
    case db_errc::full:
      return true;
    default:
      return false;
  }
}

// A member that leaves its group gives up what waits for the others, which may commit it (plugin/group_replication:
// leave_group_on_failure.cc, unblock_waiting_transactions).
bool may_have_left_group(const complaint& c) noexcept { return c.code == rolled_back_by_group && !is_signalled(c); }

// https://mariadb.com/kb/en/innodb-system-variables/#innodb_rollback_on_timeout. A lock table that is full rolls back
// whatever is set, and so does a record that changed since the transaction's snapshot.
bool rolls_transaction_back(const complaint& c, bool on_timeout) noexcept {
  if (is_clients(c.code) || is_signalled(c)) return false;
  db_errc errc = classify(c);
  return errc == db_errc::deadlock || errc == db_errc::serialization || c.code == ER_LOCK_TABLE_FULL ||
         c.code == rolled_back_by_group || (errc == db_errc::lock_timeout && on_timeout);
}

const std::vector<unsigned>& row_refusals() {
  static const std::vector<unsigned> codes = [] {
    std::vector<unsigned> list;
    for (const meaning& m : meanings)
      if (refuses_row({m.code, {}, {}})) list.push_back(m.code);
    for (const span_of_codes& span : about_values)
      for (unsigned code = span.first; code <= span.last; ++code) list.push_back(code);
    return list;
  }();
  return codes;
}

bool refuses_row(const complaint& c) noexcept {
  db_errc errc = classify(c);
  return (errc == db_errc::constraint || errc == db_errc::data) && !ends_session(c);
}

}  // namespace penstock::db::mariadb
