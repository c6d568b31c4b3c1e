#pragma once

#include "penstock/db/connection.h"

namespace penstock::db::sqlite {

// See `connection::examine`. `c` outlives the task.
task<std::vector<finding>> examine_file(connection& c);

}  // namespace penstock::db::sqlite
