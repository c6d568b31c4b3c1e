#pragma once

// Starts tasks and waits for all of them: what gather, race, map_bounded and task_group are made of. Invariants: the
// waiting parent is woken exactly once, when no task is left; the tasks of a join are destroyed before it, since they
// run in its scope.

#include "penstock/async/suspension.h"
#include "penstock/async/task.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::detail {

class join : public suspension {
 public:
  // What becomes of the siblings when one ends: nothing, cancelled when it failed, cancelled whatever it did.
  enum class policy { settle, fail_fast, first_wins };

  join(policy p, const char* name) noexcept;
  ~join() = default;

  // Starts a task in the join's scope. It is destroyed before the join, and not before all have ended unless the
  // whole frame is.
  template <class T>
  void start(task<T>& t) {
    start_promise(task_access::promise_to_run(t));
  }
  // The place of the first task that ended, in whatever way. Once all have.
  std::size_t first_ended() const noexcept { return first_ended_->task_index; }

  // Awaited once, after the tasks were started. Waits for all of them, cancelled or not; then throws, under fail_fast,
  // the first failure with the others attached, and under first_wins, that of the first task, if it failed.
  join& all() noexcept { return *this; }
  bool await_ready() const noexcept { return running_ == 0; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> parent) noexcept {
    parent_ = &parent.promise();
    suspend_uncancellable(parent.promise());
  }
  void await_resume() { rethrow(); }

 private:
  void start_promise(promise_base& child);
  static void on_ended(promise_base& child, void* context) noexcept;
  void ended(promise_base& child) noexcept;
  void rethrow();
  void rethrow_failure_of(promise_base& child);
  std::string note_on(const promise_base& child) const;
  void cancel() noexcept override {}
  std::string_view waiting_for() const noexcept override { return name_; }

  scope_state scope_;
  const char* name_;
  policy policy_;
  const promise_base* parent_ = nullptr;  // once it waits
  std::size_t running_ = 0;
  promise_base* first_ended_ = nullptr;
  std::size_t started_ = 0;
  std::vector<promise_base*> failed_;
};

// True for the `operation_cancelled` that a task ends with when its scope is cancelled.
bool is_cancellation(const std::exception_ptr& error) noexcept;

// Of a cancellation that goes no further: hands the failures that are attached to it to the unhandled-error handler.
void drop_cancellation(const std::exception_ptr& error, std::string_view where) noexcept;

}  // namespace penstock::detail
