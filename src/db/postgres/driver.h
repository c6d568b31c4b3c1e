#pragma once

#include "penstock/db/connection.h"

#include <memory>
#include <string>

namespace penstock::db::postgres {

// Sessions with the servers of a "postgresql://" URL (see ../server_url.h).
std::shared_ptr<driver> make_driver(const std::string& url);

}  // namespace penstock::db::postgres
