#pragma once

// Sessions that store many rows in one table at the same time wait for the same pages of InnoDB, and burn the
// processors while they do: two of them store fewer rows a second than one alone. So large insertions take turns, a
// table at a time, and only what else a batch needs, its COMMIT above all, overlaps. A LOAD DATA needs no turn: the
// server itself lets one at a time into a table that generates ids.

#include "penstock/async/semaphore.h"
#include "penstock/async/task.h"

#include <cstddef>
#include <map>
#include <string>

namespace penstock::db::mariadb {

class insertion_turns {
 public:
  // Below, what a session waits for the network weighs more.
  static constexpr std::size_t fewest_rows = 1'000;

  // Gives the turn for a table. An empty one when the session whose turn it is takes long, since it may wait for a
  // lock: a turn makes things faster, and nothing relies on it. Cancellable.
  task<semaphore::permit> take(std::string table);

 private:
  static task<semaphore::permit> wait_for(semaphore& one);

  std::map<std::string, semaphore, std::less<>> by_table_;
};

}  // namespace penstock::db::mariadb
