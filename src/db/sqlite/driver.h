#pragma once

#include "penstock/db/connection.h"

#include <memory>
#include <string>

namespace penstock::db::sqlite {

// Sessions of what stands behind "sqlite:" in a URL (see location.h), opened on a worker thread.
std::shared_ptr<driver> make_driver(const std::string& text);

}  // namespace penstock::db::sqlite
