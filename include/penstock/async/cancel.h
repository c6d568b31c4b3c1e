#pragma once

// Cancelling tasks, and protecting them from it.
//
//   cancel_scope scope;
//   group.start(watch_for_quit(scope));          // calls scope.cancel("quit")
//   co_await scope.run(serve_forever());         // throws operation_cancelled then

#include "penstock/async/detail/scope.h"
#include "penstock/async/error.h"
#include "penstock/async/task.h"

#include <string>

namespace penstock {

/// A handle by which a task, with everything below it, can be cancelled. Outlives the run. On one thread.
///
/// Cancellation is level-triggered: once cancelled, every operation in the scope that would wait throws
/// `operation_cancelled` at once, until the task has unwound. An operation that had completed keeps its result.
class cancel_scope {
 public:
  cancel_scope() = default;

  /// Runs a task in this scope, below the calling task's. The scope serves one task at a time; a second run while
  /// one is under way throws `async_errc::scope_in_use`.
  template <class T>
  task<T> run(task<T> inner) {
    attachment in_tree(state_);
    detail::scoped_task<T> scoped{std::move(inner), state_};
    co_return co_await scoped;
  }
  /// Cancels what runs in the scope, or will: wakes each suspended task in it at its suspension point. Returns at
  /// once; the runner of the scope goes on when all have unwound.
  void cancel(std::string reason = {}) noexcept { state_.cancel(std::move(reason)); }
  /// True after `cancel`; and while a task runs in this scope that was cancelled from a scope above, or by its
  /// deadline. That is the run's: the next one begins afresh.
  bool cancelled() const noexcept { return state_.cancelled(); }

 private:
  class attachment {
   public:
    explicit attachment(detail::scope_state& s);
    attachment(const attachment&) = delete;
    attachment& operator=(const attachment&) = delete;
    ~attachment() { state_.detach(); }

   private:
    detail::scope_state& state_;
  };

  detail::scope_state state_;
};

/// Runs a task out of reach of the caller's cancellation and deadline, for clean-up that must await. The caller still
/// waits for it; a cancellation that came meanwhile takes effect at the caller's next wait.
template <class T>
task<T> shield(task<T> inner) {
  detail::scope_state scope(detail::require_scope(), detail::scope_state::kind::shield);
  detail::scoped_task<T> scoped{std::move(inner), scope};
  co_return co_await scoped;
}

/// True when the running task's scope is cancelled.
bool is_cancelled() noexcept;

/// Throws `operation_cancelled` when the running task's scope is cancelled. For long stretches without a wait.
void throw_if_cancelled();

}  // namespace penstock
