#include "timed_tasks.h"
#include <penstock/async/cancel.h>
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/task_local.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

TEST(sleep, sleepers_wake_by_deadline_and_then_in_the_order_they_came) {
  std::string log;
  in_virtual_time([&]() -> task<> {
    auto wake = [&](char name, duration d) -> task<> {
      co_await sleep_for(d);
      log += name;
    };
    auto all = gather(wake('d', 3s), wake('b', 2s), wake('a', 1s), wake('c', 2s));
    co_await std::move(all);
    EXPECT_EQ(elapsed(), 3s);
  }());
  EXPECT_EQ(log, "abcd");
}

TEST(sleep, one_that_is_over_already_lets_others_run_first) {
  for (duration d : {duration(0), duration(-1s), duration::min()}) {
    std::string log;
    in_virtual_time([&]() -> task<> {
      auto first = [&]() -> task<> {
        co_await sleep_for(d);
        log += "b";
      };
      auto second = [&]() -> task<> {
        log += "a";
        co_return;
      };
      auto both = gather(first(), second());
      co_await std::move(both);
      EXPECT_EQ(elapsed(), 0s);
    }());
    EXPECT_EQ(log, "ab");
  }
}

TEST(with_timeout, gives_the_result_that_came_in_time) {
  in_virtual_time([]() -> task<> {
    auto limited = with_timeout(2s, later(7, 1s));
    EXPECT_EQ(co_await std::move(limited), 7);
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(with_timeout, cancels_the_task_and_throws_what_it_waited_for_as_the_cause) {
  in_virtual_time([]() -> task<> {
    auto limited = with_timeout(1500ms, later(7, 1h));
    auto settled = failure_of(std::move(limited));
    std::exception_ptr failure = co_await std::move(settled);
    EXPECT_EQ(describe(failure), "penstock::timed_out [async.timed_out]: not done within 1500ms");
    EXPECT_THAT(format_traceback(cause_of(failure)), HasSubstr("::later\n"));
    EXPECT_EQ(elapsed(), 1500ms);
  }());
}

TEST(with_timeout, passes_other_failures_on) {
  in_virtual_time([]() -> task<> {
    auto fail = []() -> task<> {
      co_await yield();
      throw std::runtime_error("other");
    };
    auto settled = fails_with(with_timeout(1s, fail()));
    EXPECT_EQ(co_await std::move(settled), "std::runtime_error: other");
  }());
}

TEST(with_timeout, keeps_a_result_that_came_in_spite_of_the_cancellation) {
  in_virtual_time([]() -> task<> {
    auto stubborn = []() -> task<int> {
      try {
        co_await sleep_for(1h);
      } catch (const operation_cancelled&) {
        co_return 5;
      }
      co_return 0;
    };
    auto limited = with_timeout(1s, stubborn());
    EXPECT_EQ(co_await std::move(limited), 5);
  }());
}

TEST(with_timeout, of_nothing_at_all_gives_a_task_that_does_not_wait_its_chance) {
  in_virtual_time([]() -> task<> {
    auto quick = []() -> task<int> { co_return 1; };
    auto limited = with_timeout(0s, quick());
    EXPECT_EQ(co_await std::move(limited), 1);
    auto slow = fails_with(with_timeout(0s, later(1, 1s)));
    EXPECT_THAT(co_await std::move(slow), HasSubstr("async.timed_out"));
    EXPECT_EQ(elapsed(), 0s);
  }());
}

TEST(with_timeout, a_limit_beyond_the_end_of_time_is_none) {
  in_virtual_time([]() -> task<> {
    auto limited = with_timeout(duration::max(), time_left());
    EXPECT_EQ(co_await std::move(limited), -1ns);
  }());
}

TEST(with_timeout, when_an_outer_deadline_passes_first_the_outer_one_is_reported) {
  in_virtual_time([]() -> task<> {
    auto inner = with_timeout(1h, later(1, 2h));
    auto settled = fails_with(with_timeout(1s, std::move(inner)));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("not done within 1s"));
    EXPECT_EQ(elapsed(), 1s);
  }());
}

}  // namespace
}  // namespace penstock
