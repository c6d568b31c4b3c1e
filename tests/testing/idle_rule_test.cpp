#include "failing_case.h"
#include <penstock/async/channel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/yield.h>
#include <penstock/testing/simulation.h>

#include <string>
#include <vector>

namespace penstock::testing {
namespace {

PENSTOCK_TEST(idle_rule, settle_waits_for_all_that_can_be_done_without_time) {
  std::vector<std::string> log;
  auto busy = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) co_await yield();
    log.emplace_back("busy");
    co_await sleep_for(1s);
    log.emplace_back("a second later");
  };
  time_point start = scheduler::current().now();
  task_group group;
  group.start(busy());
  co_await settle();
  EXPECT_EQ(log, (std::vector<std::string>{"busy"}));
  EXPECT_EQ(scheduler::current().now(), start);
  co_await group.join();
}

PENSTOCK_TEST(idle_rule, sleep_and_settle_sees_what_others_do_at_that_instant) {
  bool done = false;
  auto other = [&]() -> task<> {
    co_await sleep_for(1s);
    co_await yield();
    done = true;
  };
  task_group group;
  group.start(other());
  co_await sleep_and_settle(1s);
  EXPECT_TRUE(done);
  co_await group.join();
}

PENSTOCK_TEST(idle_rule, settle_waits_for_timers_that_are_due_at_this_instant) {
  int naps = 0;
  auto other = [&]() -> task<> {
    co_await sleep_for(1s);
    for (; naps < 3; ++naps) co_await sleep_for(0s);
    time_point passed = scheduler::current().now() - 1ms;
    co_await sleep_until(passed);
    ++naps;
  };
  time_point start = scheduler::current().now();
  task_group group;
  group.start(other());
  co_await sleep_and_settle(1s);
  EXPECT_EQ(naps, 4);
  EXPECT_EQ(scheduler::current().now() - start, 1s);
  co_await group.join();
}

PENSTOCK_TEST(idle_rule, settling_tasks_do_not_wait_for_each_other) {
  auto one = []() -> task<> { co_await settle(); };
  task<void> first = one();
  task<void> second = one();
  co_await gather(std::move(first), std::move(second));
}

PENSTOCK_TEST(idle_rule, settle_can_be_cancelled) {
  cancel_scope scope;
  auto settling = []() -> task<> { co_await settle(); };
  auto cancelling = [&]() -> task<> {
    scope.cancel();
    co_return;
  };
  auto scoped = [&]() -> task<> { CO_EXPECT_THROW(co_await scope.run(settling()), operation_cancelled); };
  task<void> first = scoped();
  task<void> second = cancelling();
  co_await gather(std::move(first), std::move(second));
}

task<void> takes(channel<int>& from) { co_await from.receive(); }

TEST(idle_rule, a_deadlock_names_each_blocked_task_and_since_when_it_waits) {
  int line = 0;
  std::string text = failures_of_test([&]() -> task<> {
    channel<int> batches(1);
    event never;
    auto waits = [&]() -> task<> {
      co_await sleep_for(2s);
      co_await never.wait();
    };
    task_group group;
    line = __LINE__ + 1;
    group.start(takes(batches), "flush_loop");
    group.start(waits());
    co_await sleep_for(12s);
    co_await group.join();
  });
  EXPECT_TRUE(contains(text, "deadlock at 12s: 3 tasks wait and no timer is left"));
  EXPECT_TRUE(contains(text, "#1 'main', started at "));
  EXPECT_TRUE(contains(text, "waits for the members of a task_group since 12s\n"));
  EXPECT_TRUE(contains(text, "#2 'flush_loop', started at " + std::string(__FILE__) + ":" + std::to_string(line)));
  EXPECT_TRUE(contains(text, "waits for a value from a channel since 0 (for 12s)\n      at "));
  EXPECT_TRUE(contains(text, "::takes\n"));
  EXPECT_TRUE(contains(text, "waits for an event since 2s (for 10s)"));
}

TEST(idle_rule, a_deadlock_below_a_gather_tells_the_way_up) {
  std::string text = failures_of_test([]() -> task<> {
    channel<int> first(1);
    channel<int> second(1);
    task<void> a = takes(first);
    task<void> b = takes(second);
    co_await gather(std::move(a), std::move(b));
  });
  EXPECT_TRUE(contains(text, "2 tasks wait"));
  EXPECT_TRUE(contains(text, "#2 'gather, task 1', started at "));
  EXPECT_TRUE(contains(text, "#3 'gather, task 2', started at "));
}

TEST(idle_rule, a_run_without_an_end_fails_at_the_cap_on_virtual_time) {
  std::string text = failures_of_test(
      []() -> task<> {
        for (;;) co_await sleep_for(1s);
      },
      {.simulation = {.most_time = 1h}});
  EXPECT_TRUE(contains(text, "the simulation ran for 3601s without an end; its tasks:\n  #1 'main'"));
}

TEST(idle_rule, a_livelock_fails_at_the_cap_on_steps) {
  std::string text = failures_of_test(
      []() -> task<> {
        for (;;) co_await yield();
      },
      {.simulation = {.most_steps = 1'000}});
  EXPECT_TRUE(contains(text, "the simulation made 1000 steps without an end"));
}

PENSTOCK_TEST(idle_rule, the_wall_clock_may_be_set_back_while_the_steady_one_goes_on) {
  simulation& sim = simulation::current();
  system_time noon = sim.wall_now() + 12h;
  co_await sleep_for(1min);
  sim.set_wall_clock(noon - 24h);
  co_await sleep_for(1min);
  EXPECT_EQ(sim.elapsed(), 2min);
  EXPECT_EQ(sim.wall_now(), noon - 24h + 1min);
}

}  // namespace
}  // namespace penstock::testing
