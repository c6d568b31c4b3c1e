#include "lookup_pool.h"

#include <algorithm>
#include <csignal>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <pthread.h>

// The threads are detached and share only `shared` with the loop: one that comes back after the loop was closed finds
// no home there, and ends.

namespace penstock::net {

struct lookup_pool::shared {
  explicit shared(scheduler& s) noexcept : home(&s) {}

  std::mutex mutex;
  scheduler* home;             // guarded by mutex, as all below; null when closed
  detail::list<lookup> queue;  // owned by the loop, which takes them off before they go
  std::size_t threads = 0;
};

lookup_pool::lookup_pool(scheduler& home, std::size_t most_threads)
    : most_threads_(std::max<std::size_t>(most_threads, 1)), shared_(std::make_shared<shared>(home)) {}

std::shared_ptr<lookup> lookup_pool::join(const endpoint& where) {
  std::string name = where.to_string();
  if (auto same = under_way_.find(name); same != under_way_.end()) return same->second;
  auto started = std::make_shared<lookup>(*this, where, std::move(name));
  auto place = under_way_.emplace(started->name, started).first;
  try {
    queue(*started);
  } catch (...) {
    under_way_.erase(place);
    throw;
  }
  return started;
}

void lookup_pool::queue(lookup& l) {
  std::lock_guard lock(shared_->mutex);
  if (shared_->threads < most_threads_) {
    try {
      std::thread([state = shared_] { work(state); }).detach();
      ++shared_->threads;
    } catch (const std::system_error&) {
      // The system has no more threads: those that run will do, later.
      if (shared_->threads == 0) throw;
    }
  }
  shared_->queue.push_back(l);
}

void lookup_pool::abandon(lookup& l) noexcept {
  {
    std::lock_guard lock(shared_->mutex);
    if (!l.linked()) return;
    l.unlink();
  }
  under_way_.erase(l.name);
}

void lookup_pool::close() noexcept {
  {
    std::lock_guard lock(shared_->mutex);
    shared_->home = nullptr;
    while (!shared_->queue.empty()) shared_->queue.pop_front();
  }
  under_way_.clear();
}

void lookup_pool::work(const std::shared_ptr<shared>& state) noexcept {
  // Signals are for the loop's thread.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(state->mutex);
  while (!state->queue.empty()) {
    std::shared_ptr<lookup> one = state->queue.pop_front().shared_from_this();
    lock.unlock();
    try {
      one->result = look_up(one->where, false);
    } catch (const std::exception& e) {
      one->result.failure = e.what();
    }
    lock.lock();
    if (state->home == nullptr) break;
    work_item& back = one->back;
    one->self = one;
    state->home->post_from_any_thread(back);
  }
  --state->threads;
}

void lookup::on_loop(work_item& w) noexcept {
  lookup& l = static_cast<way_back&>(w).owner;
  std::shared_ptr<lookup> last = std::move(l.self);
  l.pool.under_way_.erase(l.name);
  while (!l.waiting.empty()) l.waiting.pop_front().finished();
}

void lookup_wait::leave() noexcept {
  if (!lookup_waiter_hook::linked()) return;
  lookup_waiter_hook::unlink();
  if (lookup_->waiting.empty()) pool_.abandon(*lookup_);
}

}  // namespace penstock::net
