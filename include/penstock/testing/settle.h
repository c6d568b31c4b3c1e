#pragma once

// Waits until nothing else can go on without time passing.
//
//   co_await service.post(item);       // starts work in the background
//   co_await settle();                 // it has gone as far as it can at this instant
//   EXPECT_EQ(database.rows(), 0);     // the batch waits for its linger

#include "penstock/async/detail/list.h"
#include "penstock/async/suspension.h"
#include "penstock/async/task.h"

namespace penstock::testing {

/// Its place among those who wait likewise.
struct settle_hook : penstock::detail::list_hook {};

/// Awaitable of `settle`.
class [[nodiscard]] settle_awaiter : public suspension, public settle_hook {
 public:
  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    suspend(task.promise());
    enqueue();
  }
  void await_resume() const { throw_if_cancelled(); }
  std::string_view waiting_for() const noexcept override { return "all other tasks to wait"; }
  /// By the simulation: every other task waits.
  void release() noexcept { wake(); }

 private:
  void enqueue();
  void cancel() noexcept override {
    settle_hook::unlink();
    wake_cancelled();
  }
};

/// Waits until every other task waits for time to pass, for something from outside, or likewise for all others to
/// settle. No time passes. Cancellable. In a simulation only: throws `async_errc::no_scheduler` elsewhere.
settle_awaiter settle();

/// Sleeps, then settles: what other tasks do at that very instant has been done as well.
task<void> sleep_and_settle(duration d);

}  // namespace penstock::testing
