#pragma once

#include "penstock/async/scheduler.h"
#include "shared_file.h"

#include <memory>
#include <string>

namespace penstock::db::sqlite {

// What stands behind "sqlite:" in a URL: FILE or :memory:, with options behind a question mark.
struct location {
  std::string file;
  std::string name;                                 // of the file, for messages
  duration busy_timeout = std::chrono::seconds(5);  // how long a statement waits for another session's lock
  std::shared_ptr<kept_file> kept = std::make_shared<kept_file>();  // shared by all copies
};

// Throws `db_errc::bad_url` for an unknown option or a bad value.
location parse_location(const std::string& text);

// The file by which sessions find a database in memory; another one each time.
std::string new_memory_file();

}  // namespace penstock::db::sqlite
