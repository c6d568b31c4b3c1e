#include "timed_tasks.h"
#include <penstock/async/cancel.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

TEST(shield, keeps_cancellation_and_deadline_out_and_the_caller_waits) {
  in_virtual_time([]() -> task<> {
    bool cleaned = false;
    auto clean = [&]() -> task<> {
      EXPECT_EQ(current_deadline(), std::nullopt);
      co_await sleep_for(10s);
      cleaned = true;
    };
    auto work = [&]() -> task<> {
      auto shielded = shield(clean());
      co_await std::move(shielded);
      EXPECT_TRUE(is_cancelled());
      co_await sleep_for(1h);
    };
    auto settled = fails_with(with_timeout(1s, work()));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("async.timed_out"));
    EXPECT_TRUE(cleaned);
    EXPECT_EQ(elapsed(), 10s);
  }());
}

TEST(shield, what_is_inside_may_have_limits_of_its_own) {
  in_virtual_time([]() -> task<> {
    auto settled = fails_with(shield(with_timeout(1s, later(1, 1h))));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("not done within 1s"));
  }());
}

}  // namespace
}  // namespace penstock
