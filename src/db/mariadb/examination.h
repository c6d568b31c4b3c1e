#pragma once

#include "../server_url.h"
#include "penstock/db/connection.h"

#include <string>
#include <string_view>
#include <vector>

namespace penstock::db::mariadb {

// See `connection::examine`; `url` is what `c`, which outlives the task, was opened by.
task<std::vector<finding>> examine_server(connection& c, const expected_load* load, const server_url* url);

// What changes a server's setting so that it lasts.
std::string set_global(std::string_view name, std::string_view value);

}  // namespace penstock::db::mariadb
