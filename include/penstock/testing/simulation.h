#pragma once

// A scheduler in virtual time, for tests: nothing waits in real time, and every run goes the same way.
//
//   testing::simulation sim;
//   sim.run(my_test());           // an hour of sleeps passes in microseconds

#include "penstock/async/run_on.h"
#include "penstock/async/scheduler.h"

#include <cstdint>
#include <string>
#include <utility>

namespace penstock::testing {

/// How a simulation starts.
struct simulation_options {
  std::uint64_t seed = 1;                             ///< Of `scheduler::random`.
  duration most_time = std::chrono::hours(24 * 365);  ///< Virtual time after which a run fails.
  std::uint64_t most_steps = 100'000'000;             ///< Turns after which a run fails: a livelock.
};

/// Runs tasks in virtual time on the calling thread, first come first served. When no task is ready, time jumps to
/// the next timer; when there is no timer either, the run fails with `async_errc::deadlock` and names what each
/// blocked task waits for and where. `on_worker` functions run at once on this thread.
///
/// The steady clock starts at an arbitrary fixed point, the wall clock at 2000-01-01T00:00:00Z; they move together
/// until a test sets the wall clock.
class simulation final : public scheduler {
 public:
  explicit simulation(simulation_options options = {});
  ~simulation() override;

  /// Runs a task to its end.
  template <class T>
  T run(task<T> main) {
    return run_on(*this, std::move(main));
  }

  time_point now() const noexcept override { return now_; }
  system_time wall_now() const noexcept override;
  /// Sets the wall clock, backwards too; the steady clock goes on untouched.
  void set_wall_clock(system_time t) noexcept;
  /// Virtual time since the start.
  duration elapsed() const noexcept;

  void post_from_any_thread(work_item& item) override { post(item); }
  void run_blocking(work_item& item) override { item.run(); }
  void run_until(const bool& done, detail::scope_state& root) override;

 private:
  [[noreturn]] void fail_blocked(detail::scope_state& root) const;

  simulation_options options_;
  time_point now_;
  duration wall_offset_;
};

}  // namespace penstock::testing
