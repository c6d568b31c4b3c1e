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

/// Runs the tasks concurrently; the first that ends, well or with an exception, decides the result. The others are
/// cancelled and waited for; what they give is dropped, but a failure other than the cancellation, or attached to it,
/// goes to the unhandled-error handler. At least one task.
template <class T>
task<T> race(std::vector<task<T>> tasks) {
  detail::join first(detail::join::policy::first_wins, "race");
  std::vector<task<T>> running = std::move(tasks);  // destroyed before the join, whose scope they run in
  for (task<T>& t : running) first.start(t);
  co_await first.all();
  if (running.empty()) throw error(async_errc::no_tasks, "race: no task was given");
  co_return detail::task_access::promise_of(running[first.first_ended()]).take();
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
