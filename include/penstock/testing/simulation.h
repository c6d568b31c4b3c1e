#pragma once

// A scheduler in virtual time, for tests: nothing waits in real time, and every run goes the same way.
//
//   testing::simulation sim;
//   sim.run(my_test());           // an hour of sleeps passes in microseconds

#include "penstock/async/run_on.h"
#include "penstock/async/scheduler.h"
#include "penstock/testing/ledger.h"
#include "penstock/testing/random_stream.h"

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::testing {

/// How a simulation starts.
struct simulation_options {
  std::uint64_t seed = 1;                             ///< Of every random sequence of the run.
  duration most_time = std::chrono::hours(24 * 365);  ///< Virtual time after which a run fails.
  std::uint64_t most_steps = 100'000'000;             ///< Turns after which a run fails: a livelock.
  std::vector<std::string> faults_off = {};           ///< Kinds of fault that are not injected; "all" for none at all.
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

  /// The simulation of the running task. Throws `async_errc::no_scheduler` outside one.
  static simulation& current();
  /// As `current`, or null outside a simulation.
  static simulation* current_or_null() noexcept;

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

  /// The random sequence of a concern ("network latency"), which no other concern draws from: it depends on the
  /// simulation's seed and this name alone. Owned by the simulation; the same object for the same name.
  random_stream& random_for(std::string_view concern);
  /// False when faults of a kind ("connection loss") are switched off. What injects faults asks before it draws whether
  /// to inject one; the kinds that were asked for are those that a failing run is tried again without.
  bool faults_enabled(std::string_view kind);
  /// The kinds of fault that were asked for so far.
  const std::set<std::string, std::less<>>& fault_kinds() const noexcept { return fault_kinds_; }

  /// What is open in this simulation.
  ledger& open_things() noexcept { return ledger_; }

  void post_from_any_thread(work_item& item) override { post(item); }
  void run_blocking(work_item& item) override { item.run(); }
  void run_until(const bool& done, detail::scope_state& root) override;

 private:
  [[noreturn]] void fail_blocked(detail::scope_state& root) const;

  simulation_options options_;
  time_point now_;
  duration wall_offset_;
  std::map<std::string, random_stream, std::less<>> random_streams_;
  std::set<std::string, std::less<>> fault_kinds_;
  ledger ledger_;
};

}  // namespace penstock::testing
