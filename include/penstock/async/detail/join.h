#pragma once

// Starts tasks and waits for all of them: what gather, race, map_bounded and task_group are made of. Invariants: the
// waiting parent is woken exactly once, when no task is left; a join is never destroyed while a task of it runs,
// unless the frames are destroyed with it.

#include "penstock/async/suspension.h"
#include "penstock/async/task.h"

#include <cstddef>
#include <exception>
#include <string>
#include <vector>

namespace penstock::detail {

struct failed_task {
  std::size_t index;
  std::exception_ptr error;
};

class join : public suspension {
 public:
  // What becomes of the siblings when one ends: nothing, cancelled when it failed, cancelled whatever it did.
  enum class policy { settle, fail_fast, first_wins };

  join(policy p, const char* name) noexcept;
  ~join() = default;

  // Starts a task, which must outlive the join, in the join's scope.
  template <class T>
  void start(task<T>& t, promise_base* parent = nullptr) {
    start_promise(task_access::promise_of(t), parent);
  }
  // The first task that ended, in whatever way; null before one did.
  const promise_base* first_ended() const noexcept { return first_ended_; }
  scope_state& scope() noexcept { return scope_; }
  std::size_t running() const noexcept { return running_; }

  // Awaited once, after the tasks were started. Waits for all of them, cancelled or not; then, under fail_fast,
  // throws the first failure with the others attached.
  join& all() noexcept { return *this; }
  bool await_ready() const noexcept { return running_ == 0; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> parent) noexcept {
    waiting_ = true;
    suspend_uncancellable(parent.promise());
  }
  void await_resume() { rethrow(); }

 private:
  void start_promise(promise_base& child, promise_base* parent);
  static void on_ended(promise_base& child, void* context) noexcept;
  void ended(promise_base& child) noexcept;
  void rethrow();
  void cancel() noexcept override {}
  std::string_view waiting_for() const noexcept override { return name_; }

  scope_state scope_;
  const char* name_;
  policy policy_;
  bool waiting_ = false;
  std::size_t running_ = 0;
  const promise_base* first_ended_ = nullptr;
  std::size_t started_ = 0;
  std::vector<failed_task> failures_;
};

// True for the `operation_cancelled` that a task ends with when its scope is cancelled.
bool is_cancellation(const std::exception_ptr& error) noexcept;

}  // namespace penstock::detail
