#pragma once

#include "penstock/db/connection.h"

#include <memory>
#include <string>

namespace penstock::db::sqlite {

// Opens a file, or ":memory:", on a worker thread.
task<std::unique_ptr<connection>> open(std::string path);

}  // namespace penstock::db::sqlite
