#pragma once

// Sessions that store many rows in one table at the same time wait for the same pages, and burn the processors while
// they do. So large insertions take turns, table by table, and only what else a batch needs, its COMMIT above all,
// overlaps. How many may insert at a time depends on the database.

#include "penstock/async/semaphore.h"
#include "penstock/async/task.h"

#include <cstddef>
#include <map>
#include <string>

namespace penstock::db {

class insertion_turns {
 public:
  explicit insertion_turns(std::size_t at_a_time) : at_a_time_(at_a_time) {}

  // Below, what a session waits for the network weighs more.
  static constexpr std::size_t fewest_rows = 1'000;

  // Gives the turn for a table. An empty one when the session whose turn it is takes long, since it may wait for a
  // lock: a turn makes things faster, and nothing relies on it. Cancellable.
  task<semaphore::permit> take(std::string table);

 private:
  static task<semaphore::permit> wait_for(semaphore& of);

  std::size_t at_a_time_;
  std::map<std::string, semaphore, std::less<>> by_table_;
};

}  // namespace penstock::db
