#pragma once

#include "penstock/db/value.h"

#include <optional>
#include <string>

namespace penstock::db::mariadb {

// Why a column would get another value than the cell's, where the server says nothing of it: it rounds numbers, takes
// times for numbers and numbers for times (https://mariadb.com/kb/en/type-conversion/).
std::optional<std::string> misfit(const cell& c, column_type column);

}  // namespace penstock::db::mariadb
