#include "mariadb/driver.h"
#include "penstock/db/connection.h"
#include "penstock/db/error.h"
#include "penstock/observe/log.h"
#include "postgres/driver.h"
#include "sqlite/driver.h"

// The only place that knows which drivers there are.

namespace penstock::db {
namespace {

constexpr std::string_view sqlite_scheme = "sqlite:";

std::shared_ptr<driver> driver_for(const std::string& url) {
  if (url.starts_with("postgresql://") || url.starts_with("postgres://")) return postgres::make_driver(url);
  if (url.starts_with("mariadb://") || url.starts_with("mysql://")) return mariadb::make_driver(url);
  if (!url.starts_with(sqlite_scheme) || url.size() == sqlite_scheme.size())
    throw database_error(db_errc::bad_url, "'" + log::redact_url(url) +
                                               "' is no database URL: expected sqlite:FILE, sqlite::memory:, "
                                               "mariadb://…, mysql://… or postgresql://…");
  return sqlite::make_driver(url.substr(sqlite_scheme.size()));
}

// The task keeps the driver alive, whatever becomes of the database object.
task<std::unique_ptr<connection>> open(std::shared_ptr<driver> d, std::source_location where) {
  task<std::unique_ptr<connection>> opening = d->connect();
  std::unique_ptr<connection> session = co_await std::move(opening);
  if (!session)
    throw database_error(db_errc::other, d->name() + ": the driver's connect gave no session, and no error either");
  session->opened_at(where);
  co_return session;
}

}  // namespace

database::database(const std::string& url) : driver_(driver_for(url)) {}

task<std::unique_ptr<connection>> database::connect(std::source_location where) const { return open(driver_, where); }

}  // namespace penstock::db
