#include "virtual_time.h"
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

#include <string>

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(event, set_wakes_all_in_the_order_they_came_and_stays_up) {
  std::string log;
  in_virtual_time([&]() -> task<> {
    event flag;
    auto wait = [&](char name) -> task<> {
      co_await flag.wait();
      log += name;
    };
    auto set = [&]() -> task<> {
      co_await sleep_for(1s);
      flag.set();
    };
    auto all = gather(wait('a'), wait('b'), wait('c'), set());
    co_await std::move(all);
    auto late = wait('d');
    co_await std::move(late);
    EXPECT_EQ(elapsed(), 1s);
  }());
  EXPECT_EQ(log, "abcd");
}

TEST(event, who_was_woken_goes_on_though_the_flag_is_put_down_at_once) {
  in_virtual_time([]() -> task<> {
    event flag;
    int woken = 0;
    auto wait = [&]() -> task<> {
      co_await flag.wait();
      ++woken;
    };
    auto pulse = [&]() -> task<> {
      co_await yield();
      flag.set();
      flag.clear();
    };
    auto all = gather(wait(), wait(), pulse());
    co_await std::move(all);
    EXPECT_EQ(woken, 2);
    EXPECT_FALSE(flag.is_set());
  }());
}

}  // namespace
}  // namespace penstock
