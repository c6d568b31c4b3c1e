#pragma once

#include "penstock/db/connection.h"

namespace penstock::db::mariadb {

// See `connection::examine`. `c` outlives the task.
task<std::vector<finding>> examine_server(connection& c, const expected_load* load);

}  // namespace penstock::db::mariadb
