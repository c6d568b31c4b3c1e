#pragma once

// A scheduler in virtual time, for tests: nothing waits in real time, and every run of a seed goes the same way.
//
//   penstock::testing::simulation sim;
//   sim.run(my_test());           // an hour of sleeps passes in microseconds
//
// In GoogleTest use PENSTOCK_TEST (testing/test.h), which runs its body in one.

#include "penstock/async/run_on.h"
#include "penstock/async/scheduler.h"
#include "penstock/testing/ledger.h"
#include "penstock/testing/random_stream.h"
#include "penstock/testing/report_section.h"
#include "penstock/testing/run_trace.h"
#include "penstock/testing/schedule.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <source_location>
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
  schedule order = {};                                ///< Which of the ready tasks runs next.
  bool keep_steps = false;                            ///< Whether `trace` keeps the steps, to compare two runs.
};

/// Runs tasks in virtual time on the calling thread. When no task is ready, first those that await `settle` go on; when
/// there are none, time jumps to the next timer; when there is no timer either, the run fails with
/// `async_errc::deadlock` and names each blocked task: its name and number, where it was started, what it waits for,
/// since when, and where it stands; then come the sections of its report (`report_section`). Functions given to
/// `on_worker` run at once on this thread and take no virtual time, which keeps them reproducible.
///
/// The steady clock starts at an arbitrary fixed point, the wall clock at 2000-01-01T00:00:00Z; they move together
/// until a test sets the wall clock. Real sockets, event loops with their threads, database files, and whatever else
/// calls `note_real_operation`, throw `testing_errc::real_operation`; see `allow_real_io`.
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
  T run(task<T> main, std::source_location where = std::source_location::current()) {
    return run_on(*this, std::move(main), where);
  }

  time_point now() const noexcept override { return now_; }
  system_time wall_now() const noexcept override;
  /// Sets the wall clock, backwards too; the steady clock goes on untouched.
  void set_wall_clock(system_time t) noexcept;
  /// Virtual time since the start.
  duration elapsed() const noexcept;
  const simulation_options& options() const noexcept { return options_; }

  /// The random sequence of a concern ("network latency"), which no other concern draws from: it depends on the
  /// simulation's seed and this name alone. Owned by the simulation; the same object for the same name.
  random_stream& random_for(std::string_view concern);
  /// False when faults of a kind ("connection loss") are switched off. What injects faults asks before it draws whether
  /// to inject one; the kinds that were asked for are those that a failing run is tried again without.
  bool faults_enabled(std::string_view kind);
  /// The kinds of fault that were asked for so far.
  const std::set<std::string, std::less<>>& fault_kinds() const noexcept { return fault_kinds_; }

  /// What is open in this simulation.
  ledger& open_things() noexcept;
  /// After a run: a line for each task that was started and never finished, each timer that is still armed, and each
  /// entry of the ledger. Empty when nothing was left.
  std::vector<std::string> leaks() const;
  /// A line or more for each task that was started and has not ended, with what it waits for.
  std::string list_tasks() const;

  /// What simulated things say of themselves when a run fails; never null.
  const std::shared_ptr<report_sections>& sections() const noexcept { return sections_; }

  /// What the run did so far.
  const run_trace& trace() const noexcept;
  /// The order in which this run went, told as departures from first come, first served.
  schedule schedule_made() const;

  void post_from_any_thread(work_item& item) override { post(item); }
  void run_blocking(work_item& item) override { item.run(); }
  void run_until(const bool& done, detail::scope_state& root) override;

  struct state;
  /// For the kit itself.
  state& internals() noexcept { return *state_; }

 private:
  void run_one();
  bool release_settled();
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail_blocked() const;

  simulation_options options_;
  time_point now_;
  duration wall_offset_;
  std::unique_ptr<state> state_;
  std::map<std::string, random_stream, std::less<>> random_streams_;
  std::set<std::string, std::less<>> fault_kinds_;
  std::shared_ptr<report_sections> sections_ = std::make_shared<report_sections>();
};

}  // namespace penstock::testing
