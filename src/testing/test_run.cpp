#include "penstock/testing/test_run.h"

#include "checked_run.h"
#include "environment.h"
#include "seed_run.h"
#include "simulation_state.h"
#include "watchdog.h"

#include <memory>

// Invariant: a test's object, and so what it ran on, is gone before the next test: nothing it left can touch that one.

namespace penstock::testing {

std::string current_test_name() {
  const ::testing::TestInfo* info = ::testing::UnitTest::GetInstance()->current_test_info();
  return info == nullptr ? "(none)" : std::string(info->test_suite_name()) + "." + info->name();
}

run_report run_case(test_detail::async_case& test, simulation& sim, const std::function<bool()>& may_go_on,
                    std::source_location where) {
  simulation::state& inside = sim.internals();
  std::unique_ptr<watchdog> dog;
  auto ask = [&] { inside.overdue.store(dog.get(), std::memory_order_relaxed); };
  auto last_resort = [&] { return sim.list_tasks(); };
  std::chrono::seconds limit = watchdog::limit_from_environment(test.penstock_options().watchdog);
  dog = std::make_unique<watchdog>(current_test_name(), limit, ask, last_resort);
  bool tearing_down = false;
  run_report report = run_checked(sim, whole_test(test, may_go_on, tearing_down), where);
  if (report.cut_short && !tearing_down) tear_down_apart(sim, test, where, report);
  dog.reset();
  return report;
}

void test_detail::run_simulated(async_case& test, const case_maker& again, std::source_location where) {
  run_settings settings = settings_from_environment();
  simulation_options options = test.penstock_options().simulation;
  if (settings.seed) options.seed = *settings.seed;
  if (settings.order) options.order = *settings.order;
  options.faults_off.insert(options.faults_off.end(), settings.faults_off.begin(), settings.faults_off.end());
  options.keep_steps = settings.check_determinism == determinism_check::all;
  auto ran_on = std::make_shared<simulation>(options);
  test.penstock_keep(ran_on);
  simulation& sim = *ran_on;
  other_failures asked_for;
  run_report report = run_case(test, sim, nothing_ends_the_test, where);
  report_to_gtest(report, ::testing::Test::HasFailure(), where);
  if (options.keep_steps && report.faults.empty() && !::testing::Test::HasFailure())
    compare_with_second_run(sim, options, again, where);
}

}  // namespace penstock::testing
