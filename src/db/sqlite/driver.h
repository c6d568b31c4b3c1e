#pragma once

#include "penstock/db/connection.h"

#include <memory>
#include <string>

namespace penstock::db::sqlite {

// Sessions of a file, or of a database in memory for ":memory:", opened on a worker thread.
std::shared_ptr<driver> make_driver(const std::string& path);

}  // namespace penstock::db::sqlite
