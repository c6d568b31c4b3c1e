#include "virtual_time.h"
#include <penstock/async/cancel.h>
#include <penstock/async/error.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/race.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Notes what reaches the handler while it lives.
class unhandled_errors {
 public:
  unhandled_errors()
      : previous_(set_unhandled_error_handler([this](std::exception_ptr error, std::string_view where) {
          seen.push_back(describe(error));
          places.emplace_back(where);
        })) {}
  unhandled_errors(const unhandled_errors&) = delete;
  unhandled_errors& operator=(const unhandled_errors&) = delete;
  ~unhandled_errors() { set_unhandled_error_handler(previous_); }

  std::vector<std::string> seen;
  std::vector<std::string> places;

 private:
  unhandled_error_handler previous_;
};

task<> fail(std::string text) {
  co_await yield();
  throw std::runtime_error(text);
}

TEST(unhandled_error, nothing_is_reported_of_what_somebody_awaits) {
  unhandled_errors errors;
  in_virtual_time([]() -> task<> {
    auto one = failure_of(fail("awaited"));
    co_await std::move(one);
    auto all = failure_of(gather(fail("one"), fail("two")));
    co_await std::move(all);
    auto settled = gather_settled(fail("one"), fail("two"));
    co_await std::move(settled);
    task_group group;
    group.start(fail("member"));
    auto joined = failure_of(group.join());
    co_await std::move(joined);
  }());
  EXPECT_THAT(errors.seen, IsEmpty());
}

TEST(unhandled_error, the_failures_of_a_group_that_is_not_joined) {
  unhandled_errors errors;
  in_virtual_time([]() -> task<> {
    task_group group;
    group.start(fail("nobody joins"));
    co_await sleep_for(1s);
  }());
  EXPECT_THAT(errors.seen, ElementsAre("std::runtime_error: nobody joins"));
  EXPECT_THAT(errors.places, ElementsAre("a task_group that was not joined"));
}

TEST(unhandled_error, the_failure_of_a_gather_that_is_destroyed_before_it_could_throw) {
  unhandled_errors errors;
  in_virtual_time([]() -> task<> {
    auto leaves_late = []() -> task<> {
      try {
        co_await sleep_for(1h);
      } catch (const operation_cancelled&) {
      }
      auto clean = shield([]() -> task<> { co_await sleep_for(1h); }());
      co_await std::move(clean);
    };
    auto both = [&]() -> task<> {
      auto all = gather(fail("seen by nobody"), leaves_late());
      co_await std::move(all);
    };
    task_group group;
    group.start(both());
    co_await sleep_for(1s);
  }());
  EXPECT_THAT(errors.seen, ElementsAre("std::runtime_error: seen by nobody"));
  ASSERT_EQ(errors.places.size(), 1u);
  EXPECT_THAT(errors.places[0], HasSubstr("fail"));
}

TEST(unhandled_error, a_cancellation_is_none) {
  unhandled_errors errors;
  in_virtual_time([]() -> task<> {
    auto wait = []() -> task<> { co_await sleep_for(1h); };
    task_group group;
    group.start(wait());
    co_await yield();
    group.cancel();
    co_await yield();
  }());
  EXPECT_THAT(errors.seen, IsEmpty());
}

// Cancelled while it waits for the second of two tasks whose first has failed, and would have given both outcomes.
task<int> gives_outcomes(std::string text) {
  auto wait = []() -> task<> { co_await sleep_for(1h); };
  auto settled = gather_settled(fail(text), wait());
  auto both = co_await std::move(settled);
  co_return std::get<1>(both) ? 1 : 0;
}

TEST(unhandled_error, a_failure_below_the_loser_of_a_race) {
  unhandled_errors errors;
  in_virtual_time([]() -> task<> {
    auto winner = []() -> task<int> {
      co_await sleep_for(2s);
      co_return 7;
    };
    auto first = race(gives_outcomes("lost?"), winner());
    EXPECT_EQ(co_await std::move(first), 7);
  }());
  EXPECT_THAT(errors.seen, ElementsAre("std::runtime_error: lost?"));
  EXPECT_THAT(errors.places, ElementsAre(HasSubstr("gives_outcomes")));
}

TEST(unhandled_error, a_failure_below_a_member_whose_group_is_cancelled) {
  unhandled_errors errors;
  in_virtual_time([]() -> task<> {
    auto member = []() -> task<> {
      auto outcomes = gives_outcomes("lost?");
      co_await std::move(outcomes);
    };
    task_group group;
    group.start(member(), "asks");
    co_await sleep_for(1s);
    group.cancel();
    auto joined = failure_of(group.join());
    co_await std::move(joined);
  }());
  EXPECT_THAT(errors.seen, ElementsAre("std::runtime_error: lost?"));
  EXPECT_THAT(errors.places, ElementsAre("asks"));
}

TEST(unhandled_error, a_failure_below_the_body_of_a_group_that_is_cancelled) {
  unhandled_errors errors;
  in_virtual_time([]() -> task<> {
    auto body = [](task_group& group) -> task<> {
      auto cancel = [](task_group& g) -> task<> {
        co_await sleep_for(1s);
        g.cancel();
      };
      group.start(cancel(group));
      auto outcomes = gives_outcomes("lost?");
      co_await std::move(outcomes);
    };
    auto running = with_task_group(body);
    co_await std::move(running);
  }());
  EXPECT_THAT(errors.seen, ElementsAre("std::runtime_error: lost?"));
}

TEST(unhandled_error, a_failure_below_a_cancelled_sibling_is_attached_to_what_is_thrown) {
  unhandled_errors errors;
  in_virtual_time([]() -> task<> {
    auto fails_late = []() -> task<int> {
      co_await sleep_for(1s);
      throw std::runtime_error("thrown");
    };
    auto both = failure_of(gather(gives_outcomes("beside"), fails_late()));
    std::exception_ptr failure = co_await std::move(both);
    EXPECT_EQ(describe(failure), "std::runtime_error: thrown");
    EXPECT_THAT(attached_to(failure), ElementsAre("std::runtime_error: beside"));
  }());
  EXPECT_THAT(errors.seen, IsEmpty());
}

TEST(unhandled_error, setting_no_handler_brings_back_the_one_that_prints) {
  auto previous = set_unhandled_error_handler(nullptr);
  ::testing::internal::CaptureStderr();
  report_unhandled_error(std::make_exception_ptr(std::runtime_error("printed")), "a test");
  report_unhandled_error(nullptr, "nothing");
  std::string printed = ::testing::internal::GetCapturedStderr();
  set_unhandled_error_handler(previous);
  EXPECT_EQ(printed, "unhandled error in a test\nstd::runtime_error: printed\n");
}

TEST(unhandled_error, an_item_that_is_queued_twice_runs_once_and_is_reported) {
  struct counted : work_item {
    counted() : work_item(&count) {}
    static void count(work_item& w) noexcept { ++static_cast<counted&>(w).runs; }
    int runs = 0;
  };
  unhandled_errors errors;
  in_virtual_time([]() -> task<> {
    counted item;
    scheduler::current().post(item);
    scheduler::current().post(item);
    co_await yield();
    EXPECT_EQ(item.runs, 1);
  }());
  EXPECT_THAT(errors.seen, ElementsAre(HasSubstr("an item was woken twice")));
}

}  // namespace
}  // namespace penstock
