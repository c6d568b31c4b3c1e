#pragma once

// Runs tasks concurrently and waits for all of them.
//
//   auto [user, orders] = co_await gather(load_user(7), load_orders(7));
//   std::vector<page> pages = co_await gather(std::move(fetches));

#include "penstock/async/detail/join.h"
#include "penstock/async/detail/result.h"
#include "penstock/core/outcome.h"

#include <tuple>
#include <utility>
#include <vector>

namespace penstock {

/// Runs the tasks concurrently and gives their results in order; a `task<void>` gives `std::monostate`.
///
/// When one fails, the others are cancelled and waited for, and the first failure is thrown; failures that happened
/// meanwhile are attached to it (`attached_failures`). Cancelling the gather cancels all of them.
template <class... T>
task<std::tuple<detail::stored<T>...>> gather(task<T>... tasks) {
  detail::join all(detail::join::policy::fail_fast, "gather");
  (all.start(tasks), ...);
  co_await all.all();
  co_return std::tuple<detail::stored<T>...>(detail::take_result(tasks)...);
}

/// As above, for any number of tasks of one type.
template <class T>
requires(!std::is_void_v<T>) task<std::vector<T>> gather(std::vector<task<T>> tasks) {
  detail::join all(detail::join::policy::fail_fast, "gather");
  for (task<T>& t : tasks) all.start(t);
  co_await all.all();
  std::vector<T> results;
  results.reserve(tasks.size());
  for (task<T>& t : tasks) results.push_back(detail::take_result(t));
  co_return results;
}

/// As above, for tasks without a result.
inline task<void> gather(std::vector<task<void>> tasks) {
  detail::join all(detail::join::policy::fail_fast, "gather");
  for (task<void>& t : tasks) all.start(t);
  co_await all.all();
}

/// Runs the tasks concurrently, lets each end as it will, and gives an outcome each, in order. Throws only when the
/// calling task itself is cancelled, after all have ended.
template <class... T>
task<std::tuple<outcome<T>...>> gather_settled(task<T>... tasks) {
  detail::join all(detail::join::policy::settle, "gather_settled");
  (all.start(tasks), ...);
  co_await all.all();
  detail::throw_if_scope_cancelled();
  co_return std::tuple<outcome<T>...>(detail::take_outcome(tasks)...);
}

/// As above, for any number of tasks of one type.
template <class T>
task<std::vector<outcome<T>>> gather_settled(std::vector<task<T>> tasks) {
  detail::join all(detail::join::policy::settle, "gather_settled");
  for (task<T>& t : tasks) all.start(t);
  co_await all.all();
  detail::throw_if_scope_cancelled();
  std::vector<outcome<T>> results;
  results.reserve(tasks.size());
  for (task<T>& t : tasks) results.push_back(detail::take_outcome(t));
  co_return results;
}

}  // namespace penstock
