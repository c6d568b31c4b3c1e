#include "timed_tasks.h"
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>

#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

TEST(deadline, a_childs_is_never_later_than_its_parents) {
  struct row {
    duration outer, inner, left;
  };
  for (row r : {row{5s, 2s, 2s}, row{2s, 5s, 2s}, row{3s, 3s, 3s}, row{duration::max(), 4s, 4s}}) {
    in_virtual_time([&]() -> task<> {
      auto inner = with_timeout(r.inner, time_left());
      auto outer = with_timeout(r.outer, std::move(inner));
      EXPECT_EQ(co_await std::move(outer), r.left);
    }());
  }
}

TEST(deadline, is_inherited_through_gather_and_groups) {
  in_virtual_time([]() -> task<> {
    auto all = [&]() -> task<> {
      auto both = gather(time_left(), with_timeout(1h, time_left()));
      auto [a, b] = co_await std::move(both);
      EXPECT_EQ(a, 3s);
      EXPECT_EQ(b, 3s);
      auto body = [](task_group& group) -> task<> {
        auto member = []() -> task<> {
          auto left = time_left();
          EXPECT_EQ(co_await std::move(left), 3s);
        };
        group.start(member());
        co_return;
      };
      auto running = with_task_group(body);
      co_await std::move(running);
    };
    auto limited = with_timeout(3s, all());
    co_await std::move(limited);
  }());
}

TEST(with_deadline, stops_at_a_point_in_time) {
  in_virtual_time([]() -> task<> {
    time_point when = scheduler::current().now() + 2s;
    auto settled = fails_with(with_deadline(when, later(1, 1h)));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("not done by the deadline"));
    EXPECT_EQ(elapsed(), 2s);
    auto past = fails_with(with_deadline(when - 1s, later(1, 1h)));
    EXPECT_THAT(co_await std::move(past), HasSubstr("async.timed_out"));
    EXPECT_EQ(elapsed(), 2s);
  }());
}

}  // namespace
}  // namespace penstock
