#include "failing_case.h"
#include <penstock/async/event.h>
#include <penstock/async/task_group.h>
#include <penstock/async/yield.h>

#include <atomic>

namespace penstock::testing {
namespace {

constexpr const char* ends_with_its_tasks =
    "watchdog: the test watchdog.*has not ended after 1 s of real time.*"
    "#2 'poller', started at .*watchdog_test.cpp";

class watchdog_death : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

void run_with_poller(const lambda_case::part& poller, bool in_real_time = false) {
  test_options hasty{.watchdog = 1s};
  auto body = [&]() -> task<> {
    task_group group;
    group.start(poller(), "poller");
    co_await group.join();
  };
  lambda_case test(body, hasty);
  if (in_real_time)
    test_detail::run_in_real_time(test);
  else
    test_detail::run_simulated(test, nullptr);
}

TEST_F(watchdog_death, a_livelock_ends_the_program_with_a_list_of_its_tasks) {
  EXPECT_DEATH(run_with_poller([]() -> task<> {
                 for (;;) co_await yield();
               }),
               ends_with_its_tasks);
}

TEST_F(watchdog_death, a_loop_that_never_waits_ends_it_too) {
  std::atomic<bool> never = false;
  EXPECT_DEATH(run_with_poller([&]() -> task<> {
                 while (!never) continue;
                 co_return;
               }),
               "its thread is busy or blocked.*#2 'poller'");
}

TEST_F(watchdog_death, a_real_time_test_that_waits_for_ever_ends_it_too) {
  event never;
  EXPECT_DEATH(run_with_poller([&]() -> task<> { co_await never.wait(); }, true),
               "#2 'poller', started at .* waits for an event");
}

TEST(watchdog, its_limit_can_be_set_from_outside) {
  environment_variable off("PENSTOCK_WATCHDOG_SECONDS", "0");
  EXPECT_EQ(failures_of_test([]() -> task<> { co_return; }), "");
}

}  // namespace
}  // namespace penstock::testing
