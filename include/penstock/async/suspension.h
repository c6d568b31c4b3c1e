#pragma once

// The base of every awaitable that can wait. Derive from it to write one of your own: it joins the scope of the
// awaiting task, so that a cancel wakes it, and it queues the task when what it waits for has come.
//
//   class my_wait : public suspension {
//     bool await_ready() { return check_cancelled() || try_now(); }
//     template <class P> void await_suspend(std::coroutine_handle<P> h) { suspend(h.promise()); enqueue(*this); }
//     void await_resume() { throw_if_cancelled(); }
//     void cancel() noexcept override { dequeue(*this); wake_cancelled(); }
//   };

#include "penstock/async/detail/scope.h"
#include "penstock/async/scheduler.h"

#include <coroutine>
#include <string_view>

namespace penstock {

namespace detail {
class promise_base;
}

/// One wait of one task. Lives in the awaiting coroutine's frame and belongs to its scheduler's thread. Destroying
/// it while it waits takes it off the scope and the ready queue; a derived class takes itself off its own queue.
class suspension : private work_item, private detail::scope_waiter_hook {
 public:
  /// What is waited for, for reports of blocked tasks.
  virtual std::string_view waiting_for() const noexcept { return "an operation"; }
  /// The wait that an item ends; null for an item of another kind.
  static const suspension* of(const work_item& item) noexcept {
    return item.runs(&resume) ? static_cast<const suspension*>(&item) : nullptr;
  }
  /// The task that waits; null when it does not wait.
  const detail::promise_base* waiting_task() const noexcept { return task_; }

 protected:
  suspension() noexcept;
  suspension(const suspension&) = delete;
  suspension& operator=(const suspension&) = delete;
  ~suspension() = default;

  /// First in `await_ready`: true when the scope is cancelled already; the wait then ends at once.
  bool check_cancelled() noexcept;
  /// In `await_suspend`: the task now waits, and a cancel of its scope will call `cancel()`.
  void suspend(detail::promise_base& task) noexcept;
  /// As `suspend`, for waits that no cancel may cut short.
  void suspend_uncancellable(detail::promise_base& task) noexcept;
  /// What was waited for has come: queues the task. A later cancel no longer touches this wait.
  void wake() noexcept;
  /// The wait was cut short: queues the task; `throw_if_cancelled` will throw there.
  void wake_cancelled() noexcept;
  /// The scope was cancelled while the task waits. Must lead to `wake` or `wake_cancelled`, now or later, once.
  virtual void cancel() noexcept = 0;
  /// In `await_resume`: throws `operation_cancelled` when the wait was cut short.
  void throw_if_cancelled() const;
  /// True when the wait was cut short.
  bool was_cancelled() const noexcept { return cancelled_; }
  /// The scheduler of the waiting task; only after `suspend`.
  scheduler& waiting_scheduler() const noexcept;

 private:
  friend class detail::scope_state;
  friend class detail::list<suspension, detail::scope_waiter_hook>;
  static void resume(work_item& item) noexcept;

  detail::promise_base* task_ = nullptr;
  bool cancelled_ = false;
};

}  // namespace penstock
