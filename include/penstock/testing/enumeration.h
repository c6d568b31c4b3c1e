#pragma once

// Runs a scenario once for everything that can go wrong in it: each operation that may fail, each point at which it may
// be cancelled. Complete where random faults are only likely, and best for small scenarios.
//
//   for_each_failure([]() -> task<> { co_await store_and_read_back(); });
//   assert_cancel_safe([](cancellation& c) -> task<> {
//     semaphore one(1);
//     co_await c.run(works_under(one));         // this is what gets cancelled
//     EXPECT_EQ(one.available(), 1u);           // and this holds wherever it was
//   });

#include "penstock/async/cancel.h"
#include "penstock/async/task.h"
#include "penstock/testing/simulation.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <source_location>
#include <string>

namespace penstock::testing {

/// Runs `scenario` in a simulation of its own, first with its first fallible operation failing (`should_fail`), then
/// with its second, until none is left to fail; at last without a failure. Whenever an operation failed, the scenario
/// may throw. Each time, nothing may be left open (`simulation::leaks`), no error unretrieved, no task blocked for
/// ever, and `invariants`, which runs when the simulation is gone, may find nothing wrong. The first failure is
/// reported to GoogleTest with the operation's name and ends it. Gives how many operations failed.
std::size_t for_each_failure(const std::function<task<void>()>& scenario,
                             const std::function<void()>& invariants = nullptr, const simulation_options& options = {},
                             std::source_location where = std::source_location::current());

/// The part of a scenario that `assert_cancel_safe` cancels. Made by it.
class cancellation {
 public:
  explicit cancellation(std::size_t at);
  cancellation(const cancellation&) = delete;
  cancellation& operator=(const cancellation&) = delete;
  ~cancellation();

  /// Runs an operation, and cancels it at the point whose turn it is. Its result is dropped. False when it ended with
  /// `operation_cancelled`; throws whatever else it ended with. Once in a scenario.
  template <class T>
  task<bool> run(task<T> operation) {
    observation here(*this);
    task<T> scoped = scope_.run(std::move(operation));
    bool ended_well = true;
    try {
      static_cast<void>(co_await std::move(scoped));
    } catch (const operation_cancelled&) {
      if (!scope_.cancelled()) throw;
      ended_well = false;
    }
    co_return ended_well;
  }
  /// Where it was cancelled, in words; empty when it had ended before.
  const std::string& place() const noexcept { return place_; }

 private:
  class probe;
  class observation {
   public:
    explicit observation(cancellation& c);
    observation(const observation&) = delete;
    observation& operator=(const observation&) = delete;
    ~observation();

   private:
    cancellation& owner_;
  };

  cancel_scope scope_;
  std::string place_;
  std::unique_ptr<probe> probe_;
};

/// Runs `scenario` in a simulation of its own, again and again, and cancels what it hands to `cancellation::run` at
/// another point each time: right after each wait has begun, and right after what was waited for has come but before
/// the task goes on; until it ends before its turn comes. Points of other tasks of the scenario count as well. Each
/// time, the same is checked as by `for_each_failure`. Gives at how many points it was cancelled.
std::size_t assert_cancel_safe(const std::function<task<void>(cancellation&)>& scenario,
                               const std::function<void()>& invariants = nullptr,
                               const simulation_options& options = {},
                               std::source_location where = std::source_location::current());

/// As above, for a scenario that is cancelled as a whole.
std::size_t assert_cancel_safe(const std::function<task<void>()>& scenario,
                               const std::function<void()>& invariants = nullptr,
                               const simulation_options& options = {},
                               std::source_location where = std::source_location::current());

}  // namespace penstock::testing
