#include "penstock/db/connection.h"
#include "penstock/db/error.h"
#include "sqlite/driver.h"

namespace penstock::db {
namespace {
constexpr std::string_view sqlite_scheme = "sqlite:";
}  // namespace

database::database(std::string url) : name_(std::move(url)) {
  if (!name_.starts_with(sqlite_scheme) || name_.size() == sqlite_scheme.size())
    throw database_error(db_errc::bad_url,
                         "'" + name_ + "' is no database URL: expected sqlite:FILE or sqlite::memory:");
  path_ = name_.substr(sqlite_scheme.size());
  // "sqlite:///abs/file" and "sqlite://file" are widespread ways to write the same.
  if (path_.starts_with("//")) path_.erase(0, 2);
}

task<std::unique_ptr<connection>> database::connect() const { return sqlite::open(path_); }

}  // namespace penstock::db
