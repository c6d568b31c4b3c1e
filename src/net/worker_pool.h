#pragma once

#include "penstock/async/scheduler.h"

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace penstock::net {

// Threads for blocking work, started when work waits and none is idle, up to a bound. Invariant: every item that was
// queued is run, at the latest by `close`, since tasks wait for it.
class worker_pool {
 public:
  explicit worker_pool(std::size_t most_threads) noexcept;
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;
  ~worker_pool() { close(); }

  // Throws std::system_error when not one thread can be started.
  void queue(work_item& item);
  // Runs what is queued and joins the threads. Idempotent; nothing may be queued afterwards.
  void close() noexcept;

 private:
  void add_thread();
  void work() noexcept;

  std::size_t most_threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  detail::list<work_item> items_;  // guarded by mutex_, as all below
  std::size_t idle_ = 0;
  std::size_t queued_ = 0;
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace penstock::net
