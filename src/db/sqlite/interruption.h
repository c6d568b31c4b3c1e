#pragma once

#include <atomic>
#include <mutex>

struct sqlite3;

namespace penstock::db::sqlite {

// Lets the loop's thread end a statement that is queued for, or runs on, a worker. Invariant: a request has effect only
// between arm and disarm, so it never hits what the session does next. sqlite3_interrupt alone would not do: it is lost
// when no statement runs yet (https://www.sqlite.org/c3ref/interrupt.html); the request stays, and the session looks at
// it every so often.
class interruption {
 public:
  void arm() noexcept;
  void disarm() noexcept;
  void request() noexcept;
  // Whose statements it ends; null: nobody's any more.
  void attach(sqlite3* handle) noexcept;
  bool requested() const noexcept { return requested_.load(std::memory_order_relaxed); }

 private:
  std::mutex mutex_;
  sqlite3* handle_ = nullptr;
  bool armed_ = false;
  std::atomic<bool> requested_ = false;
};

}  // namespace penstock::db::sqlite
