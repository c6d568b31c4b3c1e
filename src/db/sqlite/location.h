#pragma once

#include "penstock/async/scheduler.h"

#include <atomic>
#include <memory>
#include <string>

namespace penstock::db::sqlite {

// What stands behind "sqlite:" in a URL: FILE or :memory:, with options behind a question mark.
struct location {
  std::string file;
  std::string name;                                 // of the file, for messages
  duration busy_timeout = std::chrono::seconds(5);  // how long a statement waits for another session's lock
  // Shared by all copies: a session found the file moved or deleted. None is made in its place then.
  std::shared_ptr<std::atomic<bool>> was_moved = std::make_shared<std::atomic<bool>>(false);
};

// Throws `db_errc::bad_url` for an unknown option or a bad value.
location parse_location(const std::string& text);

// The file by which sessions find a database in memory; another one each time.
std::string new_memory_file();

}  // namespace penstock::db::sqlite
