#include "penstock/db/error.h"

namespace penstock::db {

std::string_view code_name(db_errc code) noexcept {
  switch (code) {
    case db_errc::bad_url:
      return "db.bad_url";
    case db_errc::constraint:
      return "db.constraint";
    case db_errc::data:
      return "db.data";
    case db_errc::syntax:
      return "db.syntax";
    case db_errc::deadlock:
      return "db.deadlock";
    case db_errc::lock_timeout:
      return "db.lock_timeout";
    case db_errc::serialization:
      return "db.serialization";
    case db_errc::read_only:
      return "db.read_only";
    case db_errc::too_many_connections:
      return "db.too_many_connections";
    case db_errc::connection_lost:
      return "db.connection_lost";
    case db_errc::ambiguous_commit:
      return "db.ambiguous_commit";
    case db_errc::auth:
      return "db.auth";
    case db_errc::full:
      return "db.full";
    case db_errc::corrupt:
      return "db.corrupt";
    case db_errc::interrupted:
      return "db.interrupted";
    case db_errc::pool_timeout:
      return "db.pool_timeout";
    case db_errc::pool_full:
      return "db.pool_full";
    case db_errc::pool_closed:
      return "db.pool_closed";
    case db_errc::bad_options:
      return "db.bad_options";
    case db_errc::table_drift:
      return "db.table_drift";
    case db_errc::other:
      return "db.other";
  }
  return "db.unknown";
}

database_error::database_error(db_errc errc, const std::string& message, int server_code, std::string sqlstate,
                               std::exception_ptr cause, std::source_location where)
    : error(errc, message, std::move(cause), where),
      errc_(errc),
      server_code_(server_code),
      sqlstate_(std::move(sqlstate)) {}

database_error::~database_error() = default;

bool database_error::is_transient() const noexcept {
  switch (errc_) {
    case db_errc::deadlock:
    case db_errc::lock_timeout:
    case db_errc::serialization:
    case db_errc::read_only:
    case db_errc::too_many_connections:
    case db_errc::connection_lost:
      return true;
    default:
      return false;
  }
}

}  // namespace penstock::db
