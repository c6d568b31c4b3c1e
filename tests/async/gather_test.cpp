#include "timed_tasks.h"
#include <penstock/async/cancel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/semaphore.h>
#include <penstock/async/task_group.h>
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

// Fails while it unwinds from a cancellation.
task<int> fail_when_cancelled(std::string text) {
  try {
    co_await sleep_for(1h);
  } catch (const operation_cancelled&) {
    throw std::runtime_error(text);
  }
  co_return 0;
}

TEST(gather, gives_the_results_in_order_whoever_is_first) {
  in_virtual_time([]() -> task<> {
    auto all = gather(later(1, 3s), later(2, 1s), later(3, 2s));
    auto [a, b, c] = co_await std::move(all);
    EXPECT_THAT((std::vector{a, b, c}), ElementsAre(1, 2, 3));
    EXPECT_EQ(elapsed(), 3s);
  }());
}

TEST(gather, takes_any_number_of_tasks_of_one_type) {
  in_virtual_time([]() -> task<> {
    std::vector<task<int>> tasks;
    for (int i = 0; i < 10; ++i) tasks.push_back(later(i, std::chrono::seconds(10 - i)));
    auto all = gather(std::move(tasks));
    EXPECT_THAT(co_await std::move(all), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
    EXPECT_EQ(elapsed(), 10s);
  }());
}

TEST(gather, of_nothing_ends_at_once) {
  in_virtual_time([]() -> task<> {
    auto none = gather(std::vector<task<int>>{});
    EXPECT_TRUE((co_await std::move(none)).empty());
    auto nothing = gather(std::vector<task<void>>{});
    co_await std::move(nothing);
    auto empty = gather();
    co_await std::move(empty);
  }());
}

TEST(gather, gives_monostate_for_a_task_without_a_result) {
  auto nothing = []() -> task<> { co_return; };
  in_virtual_time([&]() -> task<> {
    auto both = gather(nothing(), later(2, 1s));
    auto [a, b] = co_await std::move(both);
    EXPECT_EQ(a, std::monostate());
    EXPECT_EQ(b, 2);
  }());
}

TEST(gather, the_first_failure_cancels_the_siblings_and_is_thrown) {
  in_virtual_time([]() -> task<> {
    auto all = gather(later(1, 1h), fail_after("first", 1s), later(3, 2h));
    auto settled = fails_with(std::move(all));
    EXPECT_EQ(co_await std::move(settled), "std::runtime_error: first");
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(gather, waits_for_the_siblings_to_unwind_before_it_throws) {
  in_virtual_time([]() -> task<> {
    auto slow_to_leave = []() -> task<int> {
      std::exception_ptr cancelled;
      try {
        co_await sleep_for(1h);
      } catch (...) {
        cancelled = std::current_exception();
      }
      auto clean = shield(later(0, 5s));
      co_await std::move(clean);
      std::rethrow_exception(cancelled);
    };
    auto all = gather(slow_to_leave(), fail_after("no", 1s));
    auto settled = fails_with(std::move(all));
    EXPECT_EQ(co_await std::move(settled), "std::runtime_error: no");
    EXPECT_EQ(elapsed(), 6s);
  }());
}

TEST(gather, failures_that_happen_meanwhile_are_attached) {
  in_virtual_time([]() -> task<> {
    auto all =
        gather(fail_when_cancelled("second"), fail_after("first", 1s), later(1, 1h), fail_when_cancelled("third"));
    auto settled = failure_of(std::move(all));
    std::exception_ptr failure = co_await std::move(settled);
    EXPECT_EQ(describe(failure), "std::runtime_error: first");
    EXPECT_THAT(attached_to(failure), ElementsAre("std::runtime_error: second", "std::runtime_error: third"));
    std::string text = format_traceback(failure);
    EXPECT_THAT(text, HasSubstr("[gather, task 2 of 4]"));
    EXPECT_THAT(text, HasSubstr("beside it, failure 1 of 2:"));
    EXPECT_THAT(text, HasSubstr("[gather, task 1 of 4]"));
    EXPECT_THAT(text, HasSubstr("[gather, task 4 of 4]"));
  }());
}

TEST(gather, tasks_that_fail_with_one_shared_exception_attach_nothing) {
  in_virtual_time([]() -> task<> {
    auto shared = std::make_exception_ptr(std::runtime_error("shared"));
    auto fail = [&]() -> task<> {
      std::rethrow_exception(shared);
      co_return;
    };
    std::vector<task<>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(fail());
    auto all = gather(std::move(tasks));
    auto settled = failure_of(std::move(all));
    std::exception_ptr failure = co_await std::move(settled);
    EXPECT_EQ(failure, shared);
    EXPECT_TRUE(attached_failures(failure).empty());
  }());
}

TEST(gather, cancelling_it_cancels_all_of_them) {
  in_virtual_time([]() -> task<> {
    auto all = gather(later(1, 1h), later(2, 2h));
    auto limited = with_timeout(1s, std::move(all));
    auto settled = fails_with(std::move(limited));
    EXPECT_EQ(co_await std::move(settled), "penstock::timed_out [async.timed_out]: not done within 1s");
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(gather, a_real_failure_is_thrown_rather_than_the_cancellation_from_outside) {
  in_virtual_time([]() -> task<> {
    auto all = gather(later(1, 1h), fail_when_cancelled("while unwinding"));
    auto limited = with_timeout(1s, std::move(all));
    auto settled = fails_with(std::move(limited));
    EXPECT_EQ(co_await std::move(settled), "std::runtime_error: while unwinding");
  }());
}

TEST(gather, destroyed_in_mid_run_its_tasks_go_before_the_scope_they_run_in) {
  semaphore one(1);
  in_virtual_time([&]() -> task<> {
    auto holds = [&]() -> task<> {
      auto permit = co_await one.acquire();
      co_await sleep_for(1h);
    };
    auto waits = [&]() -> task<> { auto permit = co_await one.acquire(); };
    auto both = [&]() -> task<> {
      auto all = gather(holds(), waits());
      co_await std::move(all);
    };
    task_group group;
    group.start(both());
    co_await sleep_for(1s);
    EXPECT_EQ(one.waiting(), 1u);
  }());
  EXPECT_EQ(one.available(), 1u);
  EXPECT_EQ(one.waiting(), 0u);
}

TEST(gather, of_a_hundred_thousand_tasks) {
  in_virtual_time([]() -> task<> {
    std::vector<task<int>> tasks;
    for (int i = 0; i < 100'000; ++i) tasks.push_back(later(i, 1s));
    auto all = gather(std::move(tasks));
    std::vector<int> results = co_await std::move(all);
    EXPECT_EQ(results.size(), 100'000u);
    EXPECT_EQ(results.back(), 99'999);
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(gather_settled, gives_an_outcome_each_in_order) {
  in_virtual_time([]() -> task<> {
    auto all = gather_settled(later(1, 2s), fail_after("second", 1s), later(3, 1s));
    auto [a, b, c] = co_await std::move(all);
    EXPECT_EQ(a.value(), 1);
    EXPECT_EQ(describe(b.exception()), "std::runtime_error: second");
    EXPECT_EQ(c.value(), 3);
    EXPECT_EQ(elapsed(), 2s);
  }());
}

TEST(gather_settled, takes_any_number_and_void) {
  in_virtual_time([]() -> task<> {
    std::vector<task<>> tasks;
    for (int i = 0; i < 4; ++i)
      tasks.push_back([](int n) -> task<> {
        co_await yield();
        if (n % 2 == 1) throw std::runtime_error("odd");
      }(i));
    auto all = gather_settled(std::move(tasks));
    std::vector<outcome<void>> outcomes = co_await std::move(all);
    std::vector<bool> well;
    for (auto& o : outcomes) well.push_back(o.has_value());
    EXPECT_THAT(well, ElementsAre(true, false, true, false));
  }());
}

TEST(gather_settled, when_the_caller_is_cancelled_it_throws_with_the_failures_attached) {
  in_virtual_time([]() -> task<> {
    auto all = gather_settled(fail_after("lost?", 1s), later(1, 1h));
    cancel_scope scope;
    auto scoped = scope.run(std::move(all));
    auto settled = failure_of(std::move(scoped));
    auto cancel = [&]() -> task<> {
      co_await sleep_for(2s);
      scope.cancel("enough");
    };
    auto both = gather(std::move(settled), cancel());
    auto [failure, none] = co_await std::move(both);
    EXPECT_EQ(describe(failure), "penstock::operation_cancelled [async.operation_cancelled]: cancelled: enough");
    EXPECT_THAT(attached_to(failure), ElementsAre("std::runtime_error: lost?"));
  }());
}

}  // namespace
}  // namespace penstock
