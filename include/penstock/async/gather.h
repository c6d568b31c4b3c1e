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
  std::tuple<task<T>...> running(std::move(tasks)...);  // destroyed before the join, whose scope they run in
  std::apply([&](task<T>&... t) { (all.start(t), ...); }, running);
  co_await all.all();
  co_return std::apply([](task<T>&... t) { return std::tuple<detail::stored<T>...>(detail::take_result(t)...); },
                       running);
}

/// As above, for any number of tasks of one type.
template <class T>
requires(!std::is_void_v<T>) task<std::vector<T>> gather(std::vector<task<T>> tasks) {
  detail::join all(detail::join::policy::fail_fast, "gather");
  std::vector<task<T>> running = std::move(tasks);
  for (task<T>& t : running) all.start(t);
  co_await all.all();
  std::vector<T> results;
  results.reserve(running.size());
  for (task<T>& t : running) results.push_back(detail::take_result(t));
  co_return results;
}

/// As above, for tasks without a result.
inline task<void> gather(std::vector<task<void>> tasks) {
  detail::join all(detail::join::policy::fail_fast, "gather");
  std::vector<task<void>> running = std::move(tasks);
  for (task<void>& t : running) all.start(t);
  co_await all.all();
}

/// Runs the tasks concurrently, lets each end as it will, and gives an outcome each, in order. Throws only when the
/// calling task itself is cancelled, after all have ended (failures among the outcomes are then attached), and, before
/// any begins, `async_errc::task_spent` when one of the tasks has run already or is empty.
template <class... T>
task<std::tuple<outcome<T>...>> gather_settled(task<T>... tasks) {
  detail::join all(detail::join::policy::settle, "gather_settled");
  std::tuple<task<T>...> running(std::move(tasks)...);
  std::apply([&](task<T>&... t) { (all.start(t), ...); }, running);
  co_await all.all();
  auto outcomes =
      std::apply([](task<T>&... t) { return std::tuple<outcome<T>...>(detail::take_outcome(t)...); }, running);
  detail::drop_if_scope_cancelled(outcomes);
  co_return outcomes;
}

/// As above, for any number of tasks of one type.
template <class T>
task<std::vector<outcome<T>>> gather_settled(std::vector<task<T>> tasks) {
  detail::join all(detail::join::policy::settle, "gather_settled");
  std::vector<task<T>> running = std::move(tasks);
  for (task<T>& t : running) all.start(t);
  co_await all.all();
  std::vector<outcome<T>> outcomes;
  outcomes.reserve(running.size());
  for (task<T>& t : running) outcomes.push_back(detail::take_outcome(t));
  detail::drop_if_scope_cancelled(outcomes);
  co_return outcomes;
}

}  // namespace penstock
