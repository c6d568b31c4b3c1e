#pragma once

// How combinators take the results of the tasks they ran.

#include "penstock/async/task.h"
#include "penstock/core/outcome.h"

#include <type_traits>
#include <variant>

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
  if (promise.failure()) return outcome<T>(promise.failure());
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return outcome<T>(promise.take());
}

// Throws `operation_cancelled` when the running task's scope is cancelled.
void throw_if_scope_cancelled();

}  // namespace penstock::detail
