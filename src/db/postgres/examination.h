#pragma once

#include "../server_url.h"
#include "penstock/db/connection.h"

namespace penstock::db::postgres {

// See `connection::examine`; `url` is what `c`, which outlives the task, was opened by.
task<std::vector<finding>> examine_server(connection& c, const expected_load* load, const server_url* url);

}  // namespace penstock::db::postgres
