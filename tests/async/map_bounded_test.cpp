#include "virtual_time.h"
#include <penstock/async/cancel.h>
#include <penstock/async/gather.h>
#include <penstock/async/map_bounded.h>
#include <penstock/async/timeout.h>

#include <memory>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

task<int> twice(int i) {
  co_await sleep_for(1s);
  co_return 2 * i;
}

task<int> odd_fails(int i) {
  co_await sleep_for(1s);
  if (i % 2 == 1) throw std::runtime_error("odd: " + std::to_string(i));
  co_return i;
}

class bounded_by : public ::testing::TestWithParam<std::size_t> {};

TEST_P(bounded_by, at_most_so_many_are_in_flight_and_results_are_in_order) {
  in_virtual_time([]() -> task<> {
    std::size_t limit = GetParam();
    std::size_t in_flight = 0;
    std::size_t most = 0;
    auto work = [&](int i) -> task<int> {
      most = std::max(most, ++in_flight);
      co_await sleep_for(std::chrono::seconds(12 - i));
      --in_flight;
      co_return 10 * i;
    };
    auto all = map_bounded(std::views::iota(0, 12), limit, work);
    std::vector<int> results = co_await std::move(all);
    EXPECT_EQ(results.size(), 12u);
    for (int i = 0; i < 12; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], 10 * i);
    EXPECT_EQ(most, std::min<std::size_t>(std::max<std::size_t>(limit, 1), 12));
  }());
}

INSTANTIATE_TEST_SUITE_P(limits, bounded_by, ::testing::Values(0, 1, 2, 5, 12, 1000),
                         ::testing::PrintToStringParamName());

TEST(map_bounded, of_nothing_gives_nothing) {
  in_virtual_time([]() -> task<> {
    auto none = map_bounded(std::vector<int>{}, 3, twice);
    EXPECT_TRUE((co_await std::move(none)).empty());
  }());
}

TEST(map_bounded, takes_the_next_item_as_soon_as_one_is_done) {
  in_virtual_time([]() -> task<> {
    auto all = map_bounded(std::views::iota(0, 10), 5, twice);
    co_await std::move(all);
    EXPECT_EQ(elapsed(), 2s);
  }());
}

TEST(map_bounded, a_lazy_range_is_pulled_only_as_fast_as_its_items_are_worked) {
  in_virtual_time([]() -> task<> {
    int pulled = 0;
    int done = 0;
    int furthest_ahead = 0;
    auto lazy = std::views::iota(0, 100) | std::views::transform([&](int i) {
                  furthest_ahead = std::max(furthest_ahead, ++pulled - done);
                  return i;
                });
    auto work = [&](int) -> task<> {
      co_await sleep_for(1s);
      ++done;
    };
    auto all = map_bounded(lazy, 4, work);
    co_await std::move(all);
    EXPECT_EQ(pulled, 100);
    EXPECT_EQ(furthest_ahead, 4);
  }());
}

TEST(map_bounded, takes_a_range_that_can_be_passed_once) {
  in_virtual_time([]() -> task<> {
    std::istringstream words("one two three");
    auto length = [](const std::string& word) -> task<std::size_t> {
      co_await sleep_for(1s);
      co_return word.size();
    };
    auto all = map_bounded(std::ranges::istream_view<std::string>(words), 2, length);
    EXPECT_THAT(co_await std::move(all), ElementsAre(3u, 3u, 5u));
  }());
}

TEST(map_bounded, refers_to_the_items_of_a_range_that_the_caller_keeps) {
  in_virtual_time([]() -> task<> {
    std::vector<int> values{1, 2, 3};
    auto add = [](int& v) -> task<> {
      co_await sleep_for(1s);
      v += 10;
    };
    auto all = map_bounded(values, 2, add);
    co_await std::move(all);
    EXPECT_THAT(values, ElementsAre(11, 12, 13));
  }());
}

TEST(map_bounded, results_that_can_only_be_moved) {
  in_virtual_time([]() -> task<> {
    auto make = [](int i) -> task<std::unique_ptr<std::string>> {
      co_await sleep_for(1s);
      co_return std::make_unique<std::string>(std::to_string(i) + " is long enough to be allocated");
    };
    auto all = map_bounded(std::views::iota(0, 3), 2, make);
    auto results = co_await std::move(all);
    EXPECT_EQ(*results[2], "2 is long enough to be allocated");
  }());
}

TEST(map_bounded, the_first_failure_cancels_the_rest_and_is_thrown) {
  in_virtual_time([]() -> task<> {
    int started = 0;
    auto work = [&](int i) -> task<> {
      ++started;
      co_await sleep_for(std::chrono::seconds(i + 1));
      if (i == 1) throw std::runtime_error("second");
    };
    auto all = map_bounded(std::views::iota(0, 100), 3, work);
    auto settled = fails_with(std::move(all));
    EXPECT_EQ(co_await std::move(settled), "std::runtime_error: second");
    EXPECT_EQ(started, 4);
    EXPECT_EQ(elapsed(), 2s);
  }());
}

TEST(map_bounded, after_a_failure_no_more_is_pulled_though_no_item_ever_waits) {
  in_virtual_time([]() -> task<> {
    int started = 0;
    auto work = [&](int i) -> task<> {
      ++started;
      if (i == 1) throw std::runtime_error("second");
      co_return;
    };
    auto all = map_bounded(std::views::iota(0, 1000), 2, work);
    auto settled = fails_with(std::move(all));
    EXPECT_EQ(co_await std::move(settled), "std::runtime_error: second");
    EXPECT_EQ(started, 2);
  }());
}

TEST(map_bounded, a_function_or_a_range_that_throws_by_itself_fails_it) {
  in_virtual_time([]() -> task<> {
    auto no_task = [](int) -> task<int> { throw std::runtime_error("no task"); };
    auto one = fails_with(map_bounded(std::views::iota(0, 3), 2, no_task));
    EXPECT_EQ(co_await std::move(one), "std::runtime_error: no task");
    auto broken = std::views::iota(0, 3) | std::views::transform([](int i) {
                    if (i == 1) throw std::runtime_error("no item");
                    return i;
                  });
    auto two = fails_with(map_bounded(broken, 2, twice));
    EXPECT_EQ(co_await std::move(two), "std::runtime_error: no item");
  }());
}

TEST(map_bounded_settled, every_item_gives_an_outcome) {
  in_virtual_time([]() -> task<> {
    auto all = map_bounded_settled(std::views::iota(0, 5), 2, odd_fails);
    std::vector<outcome<int>> outcomes = co_await std::move(all);
    std::vector<std::string> shown;
    for (const auto& o : outcomes) shown.push_back(o ? std::to_string(*o) : describe(o.exception()));
    EXPECT_THAT(shown, ElementsAre("0", "std::runtime_error: odd: 1", "2", "std::runtime_error: odd: 3", "4"));
    EXPECT_EQ(elapsed(), 3s);
  }());
}

TEST(map_bounded_settled, a_function_that_throws_by_itself_fails_its_item_alone) {
  in_virtual_time([]() -> task<> {
    auto refuse_two = [](int i) -> task<int> {
      if (i == 2) throw std::invalid_argument("two");
      return twice(i);
    };
    auto all = map_bounded_settled(std::vector{1, 2, 3}, 2, refuse_two);
    std::vector<outcome<int>> outcomes = co_await std::move(all);
    EXPECT_EQ(*outcomes[0], 2);
    EXPECT_NE(outcomes[1].error_as<std::invalid_argument>(), nullptr);
    EXPECT_EQ(*outcomes[2], 6);
  }());
}

TEST(map_bounded_settled, when_the_caller_is_cancelled_it_throws_with_the_failures_attached) {
  in_virtual_time([]() -> task<> {
    auto all = map_bounded_settled(std::views::iota(0, 100), 2, odd_fails);
    cancel_scope scope;
    auto settled = failure_of(scope.run(std::move(all)));
    auto cancel = [&]() -> task<> {
      co_await sleep_for(2500ms);
      scope.cancel();
    };
    auto both = gather(std::move(settled), cancel());
    auto [failure, none] = co_await std::move(both);
    EXPECT_THAT(describe(failure), HasSubstr("async.operation_cancelled"));
    EXPECT_THAT(attached_to(failure), ElementsAre("std::runtime_error: odd: 1", "std::runtime_error: odd: 3"));
    EXPECT_EQ(elapsed(), 2500ms);
  }());
}

}  // namespace
}  // namespace penstock
