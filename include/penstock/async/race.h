#pragma once

// Runs tasks concurrently until the first ends.
//
//   response r = co_await race(ask(primary), ask(replica));

#include "penstock/async/detail/join.h"
#include "penstock/async/detail/result.h"
#include "penstock/async/error.h"

#include <exception>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

namespace detail {
// The failures of the tasks that lost are not the caller's, and still not lost.
template <class T>
void report_losers(const join& first, std::vector<task<T>>& tasks) noexcept {
  for (task<T>& t : tasks) {
    promise_base& promise = task_access::promise_of(t);
    if (&promise != first.first_ended() && promise.failure() && !is_cancellation(promise.failure()))
      report_unhandled_error(promise.failure(), "a task that lost a race");
  }
}
}  // namespace detail

/// Runs the tasks concurrently; the first that ends, well or with an exception, decides the result. The others are
/// cancelled and waited for; what they give is dropped, but a failure other than the cancellation goes to the
/// unhandled-error handler. At least one task.
template <class T>
task<T> race(std::vector<task<T>> tasks) {
  detail::join first(detail::join::policy::first_wins, "race");
  for (task<T>& t : tasks) first.start(t);
  co_await first.all();
  detail::report_losers(first, tasks);
  for (task<T>& t : tasks) {
    if (&detail::task_access::promise_of(t) != first.first_ended()) continue;
    if (first.first_ended()->failure()) std::rethrow_exception(first.first_ended()->failure());
    co_return detail::task_access::promise_of(t).take();
  }
  throw error(async_errc::no_tasks, "race: no task was given");
}

/// As above, for a few tasks of one type.
template <class T, class... More>
requires(std::is_same_v<T, More>&&...) task<T> race(task<T> one, task<More>... more) {
  std::vector<task<T>> tasks;
  tasks.reserve(1 + sizeof...(more));
  tasks.push_back(std::move(one));
  (tasks.push_back(std::move(more)), ...);
  task<T> first = race(std::move(tasks));
  co_return co_await std::move(first);
}

}  // namespace penstock
