#pragma once

// How combinators take the results of the tasks they ran.

#include "penstock/async/cancel.h"
#include "penstock/async/task.h"
#include "penstock/core/outcome.h"

#include <exception>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

namespace penstock::detail {

template <class T>
using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

// The result of a task that has ended well.
template <class T>
stored<T> take_result(task<T>& t) {
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return task_access::promise_of(t).take();
}

// The outcome of a task that has ended.
template <class T>
outcome<T> take_outcome(task<T>& t) {
  auto& promise = task_access::promise_of(t);
  if (promise.failure()) return outcome<T>(promise.take_failure());
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return outcome<T>(promise.take());
}

// Throws `operation_cancelled` when the running task's scope is cancelled.
void throw_if_scope_cancelled();

// Attaches a failure to another one; of one that says no more than that a task was cancelled, what is attached to it.
void attach_unless_cancellation(const std::exception_ptr& error, const std::exception_ptr& beside);

// Throws `operation_cancelled` with the failures attached.
[[noreturn]] void throw_cancelled(const std::vector<std::exception_ptr>& failures);

// As throw_if_scope_cancelled, for a caller whose outcomes would be dropped with their failures.
template <class... T>
void drop_if_scope_cancelled(const std::tuple<outcome<T>...>& outcomes) {
  if (!is_cancelled()) return;
  std::apply([](const outcome<T>&... one) { throw_cancelled({one.exception()...}); }, outcomes);
}
template <class T>
void drop_if_scope_cancelled(const std::vector<outcome<T>>& outcomes) {
  if (!is_cancelled()) return;
  std::vector<std::exception_ptr> failures;
  for (const outcome<T>& one : outcomes) failures.push_back(one.exception());
  throw_cancelled(failures);
}

}  // namespace penstock::detail
