#include "virtual_time.h"
#include <penstock/async/cancel.h>
#include <penstock/async/gather.h>
#include <penstock/async/task_local.h>
#include <penstock/async/timeout.h>

#include <string>

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(task_local, is_seen_by_what_is_below_and_bound_anew_further_down) {
  static const task_local<std::string> name;
  static const task_local<std::string> other;
  in_virtual_time([]() -> task<> {
    EXPECT_EQ(name.get(), nullptr);
    auto read = []() -> task<std::string> {
      co_await sleep_for(1s);
      EXPECT_EQ(other.get(), nullptr);
      co_return name.get() == nullptr ? "none" : *name.get();
    };
    auto both = [&]() -> task<> {
      auto all = gather(read(), name.bind("inner", read()), shield(read()));
      auto [a, b, c] = co_await std::move(all);
      EXPECT_EQ(a, "outer");
      EXPECT_EQ(b, "inner");
      EXPECT_EQ(c, "outer");
      EXPECT_EQ(*name.get(), "outer");
    };
    auto bound = name.bind("outer", both());
    co_await std::move(bound);
    EXPECT_EQ(name.get(), nullptr);
  }());
  EXPECT_EQ(name.get(), nullptr);
}

}  // namespace
}  // namespace penstock
