#pragma once

// Statements that happen together or not at all. For rows of one table, `connection::insert_batch` is faster.
//
//   std::int64_t left = co_await transaction(*c, [&](connection& c) -> task<std::int64_t> {
//     co_await c.execute("UPDATE account SET balance = balance - ? WHERE id = ?", parameters_of(amount, from));
//     co_await c.execute("UPDATE account SET balance = balance + ? WHERE id = ?", parameters_of(amount, to));
//     co_return co_await balance_of(c, from);
//   });

#include "penstock/async/cancel.h"
#include "penstock/async/detail/result.h"
#include "penstock/async/task.h"
#include "penstock/async/timeout.h"
#include "penstock/db/connection.h"

#include <chrono>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace penstock::db {

/// How a transaction is tried again.
struct transaction_options {
  /// How often the body may run in all. Raise it where transactions often get in each other's way; set it to 1 when the
  /// body does something that must not be repeated.
  int max_attempts = 3;
  /// The pause before the second attempt; it doubles up to `max_pause`, and up to half is taken off at random. Raise
  /// both for transactions that hold locks for long.
  duration min_pause = std::chrono::milliseconds(10);
  duration max_pause = std::chrono::seconds(1);
};

namespace detail {

// True when the attempt failed for a passing reason and another is to follow; waits for it then. False: give up.
task<bool> pause_before_retry(std::exception_ptr failure, int attempts_made, const transaction_options* options);
// Begins a transaction, or leaves the connection without one.
task<void> begin(connection* c);
// Rolls back out of reach of a cancel; a failure to do so is attached to `cause`.
task<void> roll_back(connection* c, std::exception_ptr cause);

template <class T, class Body>
task<T> attempt(connection* c, Body* body) {
  task<void> beginning = begin(c);
  co_await std::move(beginning);
  std::exception_ptr failure;
  std::optional<penstock::detail::stored<T>> value;
  try {
    task<T> running = (*body)(*c);
    if constexpr (std::is_void_v<T>) {
      co_await std::move(running);
      value.emplace();
    } else {
      value.emplace(co_await std::move(running));
    }
    task<void> committing = c->commit();
    co_await std::move(committing);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    task<void> undoing = roll_back(c, failure);
    co_await std::move(undoing);
    std::rethrow_exception(failure);
  }
  if constexpr (!std::is_void_v<T>) co_return std::move(*value);
}

class transaction_plan {
 public:
  explicit transaction_plan(const transaction_options& o) noexcept : options(o) {}
  transaction_options options;
};

template <class T, class Body>
task<T> run_transaction(connection* c, Body body, transaction_plan plan) {
  for (int made = 1;; ++made) {
    std::exception_ptr failure;
    try {
      task<T> trying = attempt<T>(c, &body);
      co_return co_await std::move(trying);
    } catch (...) {
      failure = std::current_exception();
    }
    task<bool> pausing = pause_before_retry(failure, made, &plan.options);
    bool again = co_await std::move(pausing);
    if (!again) std::rethrow_exception(failure);
  }
}

}  // namespace detail

/// Runs `body(connection&)`, a task, inside a transaction and gives what it gives: commits when it ends well, rolls
/// back when it throws or is cancelled (out of reach of that cancel), and passes the exception on.
///
/// After a deadlock, a lock timeout or a serialization failure it tries again, with jittered pauses, at most
/// `max_attempts` times and not beyond the deadline: so `body` may run several times and should do nothing but database
/// work. A connection that was lost, also during the commit (`db_errc::ambiguous_commit`), is not retried: the caller
/// knows whether repeating does harm. `c` must be outside a transaction, and outlives the task.
template <class Body>
auto transaction(connection& c, Body body, const transaction_options& options = {}) {
  using result_task = std::invoke_result_t<Body&, connection&>;
  return detail::run_transaction<typename result_task::value_type>(&c, std::move(body),
                                                                   detail::transaction_plan(options));
}

}  // namespace penstock::db
