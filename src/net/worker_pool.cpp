#include "worker_pool.h"

#include <algorithm>
#include <csignal>
#include <system_error>

#include <pthread.h>

namespace penstock::net {

worker_pool::worker_pool(std::size_t most_threads) noexcept : most_threads_(std::max<std::size_t>(most_threads, 1)) {}

void worker_pool::close() noexcept {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void worker_pool::queue(work_item& item) {
  {
    std::lock_guard lock(mutex_);
    if (queued_ >= idle_ && threads_.size() < most_threads_) add_thread();
    items_.push_back(item);
    ++queued_;
  }
  changed_.notify_one();
}

void worker_pool::add_thread() {
  try {
    threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // The system has no more threads: those that run will do, later.
    if (threads_.empty()) throw;
  }
}

void worker_pool::work() noexcept {
  // Signals are for the loop's thread.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return queued_ > 0 || closing_; });
    --idle_;
    if (queued_ == 0) return;
    work_item& item = items_.pop_front();
    --queued_;
    lock.unlock();
    item.run();
    lock.lock();
  }
}

}  // namespace penstock::net
