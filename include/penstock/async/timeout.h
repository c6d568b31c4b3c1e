#pragma once

// Time: waiting for it, and limits on it. Everything is measured on the scheduler's steady clock.
//
//   response r = co_await with_timeout(5s, client.get(url));

#include "penstock/async/detail/scope.h"
#include "penstock/async/error.h"
#include "penstock/async/suspension.h"
#include "penstock/async/task.h"

#include <exception>
#include <optional>

namespace penstock {

/// Awaitable of `sleep_for` and `sleep_until`.
class [[nodiscard]] sleep_awaiter : public suspension {
 public:
  explicit sleep_awaiter(time_point deadline) noexcept : timer_(*this), deadline_(deadline) {}
  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    suspend(task.promise());
    arm();
  }
  void await_resume() const { throw_if_cancelled(); }
  std::string_view waiting_for() const noexcept override { return "a timer"; }

 private:
  struct wake_timer : timer {
    explicit wake_timer(sleep_awaiter& s) noexcept : timer(&fire), sleeper(s) {}
    static void fire(timer& t) noexcept;
    sleep_awaiter& sleeper;
  };
  void arm();
  void cancel() noexcept override;

  wake_timer timer_;
  time_point deadline_;
};

/// Waits until a point in time; one in the past still lets other tasks run first. Cancellable.
sleep_awaiter sleep_until(time_point when) noexcept;
/// Waits for a duration from now.
sleep_awaiter sleep_for(duration d);

/// The point in time by which the running task must be done: the earliest deadline of all scopes around it.
std::optional<time_point> current_deadline() noexcept;

namespace detail {
[[noreturn]] void throw_timed_out(std::exception_ptr cause, std::optional<duration> limit = std::nullopt);
// `now + limit`, without overflow.
time_point deadline_after(const scheduler& clock, duration limit) noexcept;
}  // namespace detail

/// Runs a task that must be done by `deadline`, or by an inherited earlier one. When its own deadline passes, the
/// task is cancelled and waited for, and `timed_out` is thrown; a result that came in time or in spite of that is
/// kept.
template <class T>
task<T> with_deadline(time_point deadline, task<T> inner) {
  detail::scope_state scope(detail::require_scope());
  scope.set_deadline(deadline);
  detail::scoped_task<T> scoped{std::move(inner), scope};
  try {
    co_return co_await scoped;
  } catch (const operation_cancelled&) {
    if (!scope.expired()) throw;
    detail::throw_timed_out(std::current_exception());
  }
}

/// As `with_deadline`, counted from when it is awaited.
template <class T>
task<T> with_timeout(duration limit, task<T> inner) {
  detail::scope_state scope(detail::require_scope());
  scope.set_deadline(detail::deadline_after(scope.owner(), limit));
  detail::scoped_task<T> scoped{std::move(inner), scope};
  try {
    co_return co_await scoped;
  } catch (const operation_cancelled&) {
    if (!scope.expired()) throw;
    detail::throw_timed_out(std::current_exception(), limit);
  }
}

}  // namespace penstock
