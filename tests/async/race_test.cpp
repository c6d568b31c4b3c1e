#include "timed_tasks.h"
#include <penstock/async/cancel.h>
#include <penstock/async/gather.h>
#include <penstock/async/race.h>

#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(race, the_first_to_end_decides_and_the_others_are_cancelled) {
  in_virtual_time([]() -> task<> {
    auto first = race(later(1, 5s), later(2, 1s), later(3, 9s));
    EXPECT_EQ(co_await std::move(first), 2);
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(race, a_failure_wins_too) {
  in_virtual_time([]() -> task<> {
    auto first = race(later(1, 5s), fail_after("quick", 1s));
    auto settled = failure_of(std::move(first));
    std::exception_ptr failure = co_await std::move(settled);
    EXPECT_EQ(describe(failure), "std::runtime_error: quick");
    EXPECT_THAT(format_traceback(failure), HasSubstr("[race, task 2 of 2]"));
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(race, a_tie_goes_to_the_one_given_first) {
  in_virtual_time([]() -> task<> {
    auto first = race(later(1, 1s), later(2, 1s));
    EXPECT_EQ(co_await std::move(first), 1);
  }());
}

TEST(race, of_tasks_without_a_result) {
  in_virtual_time([]() -> task<> {
    auto wait = [](duration d) -> task<> { co_await sleep_for(d); };
    auto first = race(wait(1s), wait(2s));
    co_await std::move(first);
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(race, waits_for_the_losers_to_unwind) {
  in_virtual_time([]() -> task<> {
    auto slow_to_leave = []() -> task<int> {
      bool cancelled = false;
      try {
        co_await sleep_for(1h);
      } catch (const operation_cancelled&) {
        cancelled = true;
      }
      EXPECT_TRUE(cancelled);
      auto clean = shield(later(0, 5s));
      co_return co_await std::move(clean);
    };
    auto first = race(slow_to_leave(), later(2, 1s));
    EXPECT_EQ(co_await std::move(first), 2);
    EXPECT_EQ(elapsed(), 6s);
  }());
}

TEST(race, a_loser_that_fails_reaches_the_unhandled_error_handler) {
  std::vector<std::string> seen;
  auto previous =
      set_unhandled_error_handler([&](std::exception_ptr error, std::string_view) { seen.push_back(describe(error)); });
  in_virtual_time([]() -> task<> {
    auto fails_late = []() -> task<int> {
      try {
        co_await sleep_for(1h);
      } catch (const operation_cancelled&) {
        throw std::runtime_error("while leaving");
      }
      co_return 0;
    };
    auto first = race(later(1, 1s), fails_late(), later(3, 1h));
    EXPECT_EQ(co_await std::move(first), 1);
  }());
  set_unhandled_error_handler(previous);
  EXPECT_THAT(seen, ElementsAre("std::runtime_error: while leaving"));
}

TEST(race, of_nothing_is_an_error) {
  in_virtual_time([]() -> task<> {
    auto none = race(std::vector<task<int>>{});
    auto settled = fails_with(std::move(none));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("async.no_tasks"));
  }());
}

TEST(race, cancelled_from_outside_it_throws_the_cancellation) {
  in_virtual_time([]() -> task<> {
    auto first = race(later(1, 1h), later(2, 2h));
    auto limited = with_timeout(1s, std::move(first));
    auto settled = fails_with(std::move(limited));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("async.timed_out"));
    EXPECT_EQ(elapsed(), 1s);
  }());
}

}  // namespace
}  // namespace penstock
