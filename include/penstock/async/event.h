#pragma once

// A flag that tasks wait for.
//
//   event ready;
//   co_await ready.wait();        // elsewhere: ready.set();

#include "penstock/async/detail/list.h"
#include "penstock/async/suspension.h"

namespace penstock {

/// A flag, at first down. `set` wakes everyone who waits; it stays up until `clear`. On one thread; outlives its
/// waiters.
class event {
 public:
  class wait_awaiter;

  event() noexcept = default;
  event(const event&) = delete;
  event& operator=(const event&) = delete;

  /// Puts the flag up and wakes all waiters, in the order they came.
  void set() noexcept;
  /// Puts the flag down. Waiters that `set` woke go on nevertheless.
  void clear() noexcept { up_ = false; }
  bool is_set() const noexcept { return up_; }
  /// Awaits the flag; at once when it is up. Cancellable.
  wait_awaiter wait() noexcept;

 private:
  struct waiter_hook : detail::list_hook {};
  bool up_ = false;
  detail::list<wait_awaiter, waiter_hook> waiters_;
};

/// Awaitable of `event::wait`.
class [[nodiscard]] event::wait_awaiter : public suspension, private event::waiter_hook {
 public:
  explicit wait_awaiter(event& owner) noexcept : owner_(owner) {}
  bool await_ready() noexcept { return check_cancelled() || owner_.up_; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    suspend(task.promise());
    owner_.waiters_.push_back(*this);
  }
  void await_resume() const { throw_if_cancelled(); }
  std::string_view waiting_for() const noexcept override { return "an event"; }

 private:
  friend class event;
  friend class detail::list<wait_awaiter, waiter_hook>;
  void cancel() noexcept override {
    waiter_hook::unlink();
    wake_cancelled();
  }
  event& owner_;
};

inline event::wait_awaiter event::wait() noexcept { return wait_awaiter(*this); }

inline void event::set() noexcept {
  up_ = true;
  while (!waiters_.empty()) waiters_.pop_front().wake();
}

}  // namespace penstock
