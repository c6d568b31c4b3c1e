#pragma once

#include "penstock/async/event.h"
#include "penstock/async/mutex.h"
#include "penstock/async/task.h"

#include <cstddef>

namespace penstock::db::sqlite {

// Where the sessions of one loop wait for the file's write lock, first come first served. Only the first in the line
// tries for the lock: each time a session of this loop lets go of it, and every so often besides, since other loops and
// processes hold it too and tell nobody.
class lock_line {
 public:
  bool empty() const noexcept { return !line_.locked(); }
  // A session of this loop has let go of the lock.
  void released() noexcept {
    if (!empty()) released_.set();
  }

 private:
  friend class lock_wait;
  mutex line_;
  event released_;
};

// The waits of one operation that SQLite answers with SQLITE_BUSY, on the loop: no worker is held meanwhile. Destroying
// it leaves the line.
class lock_wait {
 public:
  lock_wait(lock_line& line, duration longest) noexcept : line_(line), longest_(longest) {}

  // True when others stand in the line and this one must not overtake them.
  bool must_queue() const noexcept { return longest_ > duration::zero() && !line_.empty(); }
  // Waits until it is worth trying again; gives false when `longest` has passed since the first wait began. Whoever
  // holds a lock that those in the line may wait for stays out of the line. Cancellable.
  task<bool> next(bool holds_a_lock);

 private:
  duration left() const;
  task<bool> join();
  task<void> pause(duration longest);

  lock_line& line_;
  duration longest_;
  time_point since_{};
  bool begun_ = false;
  std::size_t pauses_ = 0;
  mutex::guard place_;
};

}  // namespace penstock::db::sqlite
