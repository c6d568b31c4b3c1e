#include "virtual_time.h"
#include <penstock/async/cancel.h>
#include <penstock/async/error.h>
#include <penstock/async/on_worker.h>
#include <penstock/async/task_group.h>
#include <penstock/async/yield.h>

#include <memory>
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

TEST(on_worker, gives_the_result_of_the_function) {
  in_virtual_time([]() -> task<> {
    auto seven = on_worker([] { return std::make_unique<int>(7); });
    EXPECT_EQ(*co_await seven, 7);
    bool ran = false;
    auto nothing = on_worker([&] { ran = true; });
    co_await nothing;
    EXPECT_TRUE(ran);
  }());
}

TEST(on_worker, throws_what_the_function_throws_with_the_site_that_awaited_it) {
  in_virtual_time([]() -> task<> {
    auto work = []() -> task<> {
      auto fails = on_worker([] { throw std::runtime_error("blocked"); });
      co_await fails;
    };
    auto settled = failure_of(work());
    std::exception_ptr failure = co_await std::move(settled);
    EXPECT_EQ(describe(failure), "std::runtime_error: blocked");
    EXPECT_THAT(format_traceback(failure), HasSubstr("on_worker_test.cpp"));
  }());
}

TEST(on_worker, in_a_cancelled_scope_it_does_not_begin) {
  in_virtual_time([]() -> task<> {
    bool ran = false;
    auto work = [&]() -> task<> {
      auto call = on_worker([&] { ran = true; });
      co_await call;
    };
    cancel_scope scope;
    scope.cancel();
    auto settled = fails_with(scope.run(work()));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("async.operation_cancelled"));
    EXPECT_FALSE(ran);
  }());
}

TEST(on_worker, once_begun_its_result_is_kept_though_the_task_is_cancelled) {
  in_virtual_time([]() -> task<> {
    cancel_scope scope;
    int got = 0;
    auto work = [&]() -> task<> {
      auto call = on_worker([&] {
        scope.cancel();
        return 3;
      });
      got = co_await call;
    };
    auto scoped = scope.run(work());
    co_await std::move(scoped);
    EXPECT_EQ(got, 3);
  }());
}

TEST(on_worker, when_the_task_is_destroyed_meanwhile_a_failure_is_reported) {
  std::vector<std::string> seen;
  auto previous =
      set_unhandled_error_handler([&](std::exception_ptr error, std::string_view) { seen.push_back(describe(error)); });
  in_virtual_time([]() -> task<> {
    auto work = []() -> task<> {
      auto call = on_worker([] { throw std::runtime_error("too late"); });
      co_await call;
    };
    task_group group;
    group.start(work());
    co_await yield();
  }());
  set_unhandled_error_handler(previous);
  EXPECT_THAT(seen, ElementsAre("std::runtime_error: too late"));
}

TEST(on_worker, that_was_asked_to_end_by_the_end_of_its_task_may_say_so) {
  std::vector<std::string> seen;
  auto previous =
      set_unhandled_error_handler([&](std::exception_ptr error, std::string_view) { seen.push_back(describe(error)); });
  in_virtual_time([]() -> task<> {
    bool asked = false;
    auto work = [&]() -> task<> {
      auto call = on_worker([] { throw std::runtime_error("interrupted"); }, [&]() noexcept { asked = true; });
      co_await call;
    };
    {
      task_group group;
      group.start(work());
      co_await yield();
    }
    EXPECT_TRUE(asked);
  }());
  set_unhandled_error_handler(previous);
  EXPECT_THAT(seen, IsEmpty());
}

}  // namespace
}  // namespace penstock
