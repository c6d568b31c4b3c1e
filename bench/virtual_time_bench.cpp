// How long a day of virtual time takes.
//
//   build/release/bin/penstock_virtual_time_bench

#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/testing/simulation.h>

#include <chrono>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;

constexpr int timers = 1'000'000;

task<void> sleeps(duration d) { co_await sleep_for(d); }

task<void> day_of_many() {
  random_stream& when = simulation::current().random_for("when timers fire");
  std::vector<task<void>> sleepers;
  sleepers.reserve(timers);
  for (int i = 0; i < timers; ++i) sleepers.push_back(sleeps(when.between(0s, 24h)));
  task<void> all = gather(std::move(sleepers));
  co_await std::move(all);
}

task<void> day_of_one() {
  for (int i = 0; i < timers; ++i) co_await sleep_for(24h / timers);
}

void run(benchmark::State& state, task<void> (*day)()) {
  for (auto _ : state) {
    simulation sim;
    sim.run(day());
  }
  state.SetItemsProcessed(state.iterations() * timers);
}

// All armed at the day's beginning.
BENCHMARK_CAPTURE(run, a_million_tasks_that_sleep_once, &day_of_many)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(run, a_task_that_sleeps_a_million_times, &day_of_one)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace penstock::testing

BENCHMARK_MAIN();
