#pragma once

// Mutual exclusion among tasks of one thread, across their waits. Between two waits no lock is needed.
//
//   auto guard = co_await m.lock();

#include "penstock/async/semaphore.h"

namespace penstock {

/// A lock held by one task at a time, first come first served. Not recursive. On one thread.
class mutex {
 public:
  /// Holds the lock; gives it back on destruction.
  using guard = semaphore::permit;

  /// Awaits the lock. Cancellable.
  semaphore::acquire_awaiter lock() { return one_.acquire(); }
  /// Takes the lock when it is free and nobody waits.
  std::optional<guard> try_lock() noexcept { return one_.try_acquire(); }
  bool locked() const noexcept { return one_.available() == 0; }

 private:
  semaphore one_{1};
};

}  // namespace penstock
