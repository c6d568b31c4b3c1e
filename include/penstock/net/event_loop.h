#pragma once

// The production scheduler: tasks, timers and sockets of one thread, over Boost.Asio (epoll).
//
//   int main() { return penstock::net::run(my_main()); }

#include "penstock/async/run_on.h"
#include "penstock/async/scheduler.h"

#include <cstddef>
#include <memory>
#include <utility>

namespace penstock::net {

/// How an event loop is set up.
struct event_loop_options {
  std::size_t worker_threads = 4;  ///< Most threads for `on_worker`; started when first needed. At least 1.
};

/// An event loop. Use it from one thread; run one per core. Timers are exact to the millisecond, never early by
/// `now()`: that is the time at which the turn began, so what tasks have computed in the turn is part of a sleep or a
/// timeout that begins in it.
///
/// Destroying it waits for worker threads, not for lookups of names; tasks that had not ended were destroyed by their
/// owners before.
class event_loop final : public scheduler {
 public:
  explicit event_loop(const event_loop_options& options = {});
  ~event_loop() override;

  /// The running task's loop. Throws `async_errc::no_scheduler` when the task runs on another kind of scheduler.
  static event_loop& current();

  /// Runs a task to its end.
  template <class T>
  T run(task<T> main) {
    return run_on(*this, std::move(main));
  }

  time_point now() const noexcept override;
  system_time wall_now() const noexcept override;
  void post_from_any_thread(work_item& item) override;
  void run_blocking(work_item& item) override;
  void run_until(const bool& done, detail::scope_state& root) override;

  struct implementation;
  /// The Asio side; see `net/asio.h`.
  implementation& native() noexcept { return *implementation_; }

 private:
  std::unique_ptr<implementation> implementation_;
  time_point now_;
};

/// Runs a task on an event loop of its own and gives its result.
template <class T>
T run(task<T> main, const event_loop_options& options = {}) {
  event_loop loop(options);
  return loop.run(std::move(main));
}

}  // namespace penstock::net
