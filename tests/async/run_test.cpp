#include "virtual_time.h"
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/run_on.h>
#include <penstock/async/semaphore.h>
#include <penstock/async/timeout.h>

#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

TEST(run, gives_the_result_of_the_task) {
  auto answer = []() -> task<int> {
    co_await sleep_for(3s);
    co_return 42;
  };
  testing::simulation sim;
  EXPECT_EQ(run_on(sim, answer()), 42);
  EXPECT_EQ(sim.elapsed(), 3s);
}

TEST(run, throws_what_the_task_throws) {
  auto fail = []() -> task<> {
    throw std::out_of_range("far");
    co_return;
  };
  testing::simulation sim;
  EXPECT_THROW(sim.run(fail()), std::out_of_range);
}

TEST(run, a_scheduler_runs_one_task_after_another) {
  testing::simulation sim;
  auto wait = []() -> task<> { co_await sleep_for(1s); };
  sim.run(wait());
  sim.run(wait());
  EXPECT_EQ(sim.elapsed(), 2s);
}

TEST(run, a_task_may_run_another_scheduler_inside) {
  auto inner = []() -> task<int> {
    co_await sleep_for(1h);
    co_return 1;
  };
  auto outer = [&]() -> task<int> {
    int got = in_virtual_time(inner());
    co_await sleep_for(1s);
    co_return got + 1;
  };
  testing::simulation sim;
  EXPECT_EQ(sim.run(outer()), 2);
  EXPECT_EQ(sim.elapsed(), 1s);
}

TEST(run, outside_a_task_what_needs_one_says_so) {
  EXPECT_EQ(scheduler::current_or_null(), nullptr);
  try {
    (void)sleep_for(1s);
    FAIL() << "no error";
  } catch (const error& e) {
    EXPECT_TRUE(e.is(async_errc::no_scheduler));
    EXPECT_THAT(e.what(), HasSubstr("call this from a task"));
  }
}

TEST(run, a_deadlock_is_an_error_that_names_who_waits_for_what_and_where) {
  auto stuck = []() -> task<> {
    event never;
    co_await never.wait();
  };
  testing::simulation sim;
  try {
    sim.run(stuck());
    FAIL() << "no error";
  } catch (const error& e) {
    EXPECT_TRUE(e.is(async_errc::deadlock));
    EXPECT_THAT(e.what(), HasSubstr("waits for an event"));
    EXPECT_THAT(e.what(), HasSubstr("run_test.cpp"));
  }
}

TEST(run, a_run_that_fails_destroys_its_tasks_while_their_scope_still_lives) {
  semaphore one(1);
  auto waits = [&]() -> task<> { auto permit = co_await one.acquire(); };
  auto main = [&]() -> task<> {
    // Destroying the permit first hands it to the waiting child, whose scope is the run's.
    task<> child = waits();
    auto permit = co_await one.acquire();
    co_await std::move(child);
  };
  {
    testing::simulation sim;
    EXPECT_THROW(sim.run(main()), error);
  }
  EXPECT_EQ(one.available(), 1u);
  EXPECT_EQ(one.waiting(), 0u);
}

TEST(run, steps_without_end_are_an_error) {
  auto spin = []() -> task<> {
    for (;;) co_await sleep_for(0s);
  };
  testing::simulation sim({.most_steps = 1000});
  EXPECT_THROW(sim.run(spin()), error);
}

}  // namespace
}  // namespace penstock
