#pragma once

// Errors of the db room: what the server said, and what it means for the caller.

#include "penstock/core/error.h"

#include <string>
#include <string_view>

namespace penstock::db {

/// Classes of database errors. The class decides what to do: report, retry, or reconnect.
enum class db_errc {
  bad_url,               ///< A text is no database URL, or names no known driver.
  constraint,            ///< A unique, not-null, check or foreign-key constraint refused the row.
  data,                  ///< A value does not fit its column.
  syntax,                ///< The statement is malformed, or names something that does not exist.
  deadlock,              ///< Chosen as the victim of a deadlock. Transient.
  lock_timeout,          ///< Another session held a lock too long. Transient.
  serialization,         ///< A concurrent transaction got in the way. Transient.
  read_only,             ///< The database takes no writes now. Transient where there is a failover.
  too_many_connections,  ///< The server has no session left. Transient.
  connection_lost,       ///< The connection died; what it was doing did not happen. Transient.
  ambiguous_commit,      ///< COMMIT got no answer, passed over its standby, or met a failing disk: look it up.
  auth,                  ///< The credentials, or the rights, are not enough.
  full,                  ///< Disk, file or quota is full.
  corrupt,               ///< The database file is damaged or is no database.
  interrupted,           ///< The statement was cut short by a cancellation.
  pool_timeout,          ///< No connection became free in time.
  pool_full,             ///< Too many wait for a connection already.
  pool_closed,           ///< The pool is closed.
  bad_options,           ///< Options that contradict each other.
  table_drift,           ///< A table is not what its definition says.
  other,                 ///< Anything else; the message says what.
};

/// The stable code of a database error.
std::string_view code_name(db_errc code) noexcept;

/// A failure reported by a database, with what the server said.
class database_error : public error {
 public:
  /// `server_code` is the driver's own number, 0 where there is none; `sqlstate` may be empty.
  database_error(db_errc errc, const std::string& message, int server_code = 0, std::string sqlstate = {},
                 std::exception_ptr cause = {}, std::source_location where = std::source_location::current());
  ~database_error() override;

  db_errc errc() const noexcept { return errc_; }
  int server_code() const noexcept { return server_code_; }
  const std::string& sqlstate() const noexcept { return sqlstate_; }
  /// True when the same work may succeed if it is simply tried again.
  bool is_transient() const noexcept;

 private:
  db_errc errc_;
  int server_code_;
  std::string sqlstate_;
};

}  // namespace penstock::db
