#include <penstock/async/gather.h>
#include <penstock/testing/simulation.h>
#include <penstock/testing/test.h>

#include <vector>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;

task<void> sleeps(duration d) { co_await sleep_for(d); }

// A day in which many timers fire, all of them armed at its beginning. How long it takes: bench/virtual_time_bench.cpp.
TEST(virtual_time, a_day_with_a_million_timers_ends_with_the_last_of_them) {
  constexpr int timers = 1'000'000;
  constexpr duration day = 24h;
  simulation sim;
  auto main = [&]() -> task<> {
    random_stream& when = simulation::current().random_for("when timers fire");
    std::vector<task<void>> sleepers;
    sleepers.reserve(timers);
    for (int i = 0; i < timers; ++i) sleepers.push_back(sleeps(when.between(0s, day - 1ns)));
    sleepers.push_back(sleeps(day));
    co_await gather(std::move(sleepers));
  };
  sim.run(main());
  EXPECT_EQ(sim.elapsed(), day);
}

// The same number of timers, but one after the other.
TEST(virtual_time, the_sleeps_of_one_task_add_up) {
  simulation sim;
  auto main = []() -> task<> {
    for (int i = 0; i < 1'000'000; ++i) co_await sleep_for(86'400us);
  };
  sim.run(main());
  EXPECT_EQ(sim.elapsed(), 24h);
}

}  // namespace
}  // namespace penstock::testing
