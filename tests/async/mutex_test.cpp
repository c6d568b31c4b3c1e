#include "virtual_time.h"
#include <penstock/async/gather.h>
#include <penstock/async/mutex.h>
#include <penstock/async/timeout.h>

#include <string>

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(mutex, one_task_at_a_time_in_the_order_they_came) {
  std::string log;
  in_virtual_time([&]() -> task<> {
    mutex m;
    auto work = [&](char name) -> task<> {
      auto guard = co_await m.lock();
      log += name;
      co_await sleep_for(1s);
      log += name;
    };
    auto all = gather(work('a'), work('b'), work('c'));
    co_await std::move(all);
    EXPECT_FALSE(m.locked());
  }());
  EXPECT_EQ(log, "aabbcc");
}

TEST(mutex, try_lock_takes_it_only_when_it_is_free) {
  mutex m;
  {
    auto guard = m.try_lock();
    EXPECT_TRUE(guard);
    EXPECT_TRUE(m.locked());
    EXPECT_FALSE(m.try_lock());
  }
  EXPECT_FALSE(m.locked());
}

}  // namespace
}  // namespace penstock
