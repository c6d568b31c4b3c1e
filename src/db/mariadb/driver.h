#pragma once

// The MariaDB and MySQL driver; see docs/dependencies.md for its library.

#include "penstock/db/connection.h"

#include <memory>
#include <string>

namespace penstock::db::mariadb {

// For a URL "mariadb://…" or "mysql://…": see server_url.h. Throws `db_errc::bad_url`.
std::shared_ptr<driver> make_driver(const std::string& url);

}  // namespace penstock::db::mariadb
