#pragma once

// What the sessions of one database share: where it is, which of them were closed while they ran something, whose turn
// it is to store many rows, and what is known of its tables.

#include "../insertion_turns.h"
#include "../server_url.h"
#include "../silent_servers.h"
#include "known_table.h"
#include "penstock/async/scheduler.h"
#include "penstock/async/task.h"

#include <chrono>
#include <string>
#include <vector>

namespace penstock::db::mariadb {

// A session that was closed in mid-statement. Its server notices that only when it has rows to send, and until then the
// statement runs on and keeps its locks; so the next session that is opened there ends it.
struct orphan {
  std::string identity;
  unsigned long thread_id;
  time_point since;
};

constexpr duration shortest_statement_limit = std::chrono::milliseconds(100);
constexpr duration longest_statement_limit = std::chrono::seconds(1);  // the server's own shortest

// That a table, or whatever has its name, has the unique index that a definition names.
struct confirmed_key {
  std::string table;
  std::vector<std::string> columns;
};

struct server_context {
  server_url url;
  std::vector<orphan> orphans = {};
  // Two sessions store fewer rows a second than one alone. A LOAD DATA needs no turn: the server itself lets one at a
  // time into a table that generates ids.
  insertion_turns turns{1};
  known_tables tables = {};              // those that were prepared
  std::vector<confirmed_key> keys = {};  // of other tables
  silent_servers silent = {};
  // After which a statement may wait for a lock, where the server has no limit that is short enough: longer after each
  // that was ended, and shorter after each that was not, for some take long without a wait.
  duration statement_limit = shortest_statement_limit;
  duration tables_are_known_for = std::chrono::seconds(1);  // then the next batch for one looks at it again
  bool failing_look_is_told = false;
};

}  // namespace penstock::db::mariadb
