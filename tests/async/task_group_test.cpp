#include "virtual_time.h"
#include <penstock/async/cancel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

task<> add_after(int& sum, int n, duration d) {
  co_await sleep_for(d);
  sum += n;
}

task<> fail_after(std::string text, duration d) {
  co_await sleep_for(d);
  throw std::runtime_error(text);
}

task<> fail_when_cancelled(std::string text) {
  try {
    co_await sleep_for(1h);
  } catch (const operation_cancelled&) {
    throw std::runtime_error(text);
  }
}

TEST(task_group, join_waits_for_all_members) {
  in_virtual_time([]() -> task<> {
    int sum = 0;
    task_group group;
    group.start(add_after(sum, 1, 2s));
    group.start(add_after(sum, 2, 1s));
    EXPECT_EQ(group.size(), 2u);
    auto joined = group.join();
    co_await std::move(joined);
    EXPECT_EQ(sum, 3);
    EXPECT_EQ(group.size(), 0u);
    EXPECT_EQ(elapsed(), 2s);
  }());
}

TEST(task_group, join_waits_for_a_member_that_is_started_as_the_last_one_ends) {
  for (bool in_background : {true, false}) {
    in_virtual_time([](bool by_member) -> task<> {
      int sum = 0;
      event ending;
      task_group group;
      task_group others;
      auto last = [&]() -> task<> {
        co_await sleep_for(1s);
        ending.set();
      };
      auto start_another = [&]() -> task<> {
        co_await ending.wait();
        group.start(add_after(sum, 1, 1s));
        co_await sleep_for(1h);
      };
      group.start(last());
      (by_member ? group : others).start_background(start_another());
      auto joined = group.join();
      co_await std::move(joined);
      EXPECT_EQ(sum, 1) << by_member;
      EXPECT_EQ(group.size(), 0u);
      EXPECT_EQ(elapsed(), 2s);
      auto all = others.join();
      co_await std::move(all);
    }(in_background));
  }
}

TEST(task_group, may_be_used_again_after_a_join) {
  in_virtual_time([]() -> task<> {
    int sum = 0;
    task_group group;
    for (int round = 0; round < 3; ++round) {
      group.start(add_after(sum, 1, 1s));
      auto joined = group.join();
      co_await std::move(joined);
    }
    EXPECT_EQ(sum, 3);
  }());
}

TEST(task_group, members_start_members) {
  in_virtual_time([]() -> task<> {
    int sum = 0;
    co_await with_task_group([&](task_group& group) -> task<> {
      auto parent = [&]() -> task<> {
        co_await sleep_for(1s);
        group.start(add_after(sum, 5, 1s));
      };
      task<> running = parent();
      co_await std::move(running);
    });
    EXPECT_EQ(sum, 5);
    EXPECT_EQ(elapsed(), 2s);
  }());
}

TEST(task_group, a_failing_member_cancels_the_others_and_join_throws_it) {
  in_virtual_time([]() -> task<> {
    int sum = 0;
    task_group group;
    group.start(add_after(sum, 1, 1h));
    group.start(fail_after("broken", 1s), "the broken one");
    group.start(fail_when_cancelled("also"));
    auto joined = group.join();
    auto settled = failure_of(std::move(joined));
    std::exception_ptr failure = co_await std::move(settled);
    EXPECT_EQ(describe(failure), "std::runtime_error: broken");
    EXPECT_THAT(attached_to(failure), ElementsAre("std::runtime_error: also"));
    EXPECT_THAT(format_traceback(failure), HasSubstr("[task_group, task 'the broken one']"));
    EXPECT_EQ(sum, 0);
    EXPECT_TRUE(group.cancelled());
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(task_group, cancelling_it_is_no_failure) {
  in_virtual_time([]() -> task<> {
    int sum = 0;
    task_group group;
    group.start(add_after(sum, 1, 1h));
    co_await yield();
    group.cancel("no longer needed");
    group.start(add_after(sum, 2, 1h));
    auto joined = group.join();
    co_await std::move(joined);
    EXPECT_EQ(sum, 0);
    EXPECT_EQ(elapsed(), 0s);
  }());
}

TEST(task_group, background_members_end_when_only_they_are_left) {
  in_virtual_time([]() -> task<> {
    int sum = 0;
    int ticks = 0;
    auto tick = [&]() -> task<> {
      for (;; ++ticks) co_await sleep_for(1s);
    };
    task_group group;
    group.start_background(tick(), "ticker");
    group.start(add_after(sum, 1, 3500ms));
    auto joined = group.join();
    co_await std::move(joined);
    EXPECT_EQ(sum, 1);
    EXPECT_EQ(ticks, 3);
    EXPECT_EQ(elapsed(), 3500ms);
  }());
}

TEST(task_group, a_background_member_that_fails_is_a_failure) {
  in_virtual_time([]() -> task<> {
    int sum = 0;
    task_group group;
    group.start_background(fail_after("background", 1s));
    group.start(add_after(sum, 1, 1h));
    auto joined = group.join();
    auto settled = fails_with(std::move(joined));
    EXPECT_EQ(co_await std::move(settled), "std::runtime_error: background");
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(task_group, when_the_caller_of_join_is_cancelled_so_are_the_members) {
  in_virtual_time([]() -> task<> {
    int sum = 0;
    task_group group;
    group.start(add_after(sum, 1, 1h));
    auto joined = group.join();
    auto limited = with_timeout(1s, std::move(joined));
    auto settled = fails_with(std::move(limited));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("not done within 1s"));
    EXPECT_EQ(sum, 0);
    EXPECT_EQ(group.size(), 0u);
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(task_group, a_join_under_a_cancelled_scope_still_waits_for_the_members_to_unwind) {
  in_virtual_time([]() -> task<> {
    bool unwound = false;
    auto slow_to_leave = [&]() -> task<> {
      std::exception_ptr cancelled;
      try {
        co_await sleep_for(1h);
      } catch (...) {
        cancelled = std::current_exception();
      }
      auto clean = shield([]() -> task<> { co_await sleep_for(5s); }());
      co_await std::move(clean);
      unwound = true;
      std::rethrow_exception(cancelled);
    };
    task_group group;
    group.start(slow_to_leave());
    co_await yield();
    cancel_scope scope;
    scope.cancel();
    auto scoped = scope.run(group.join());
    auto settled = fails_with(std::move(scoped));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("async.operation_cancelled"));
    EXPECT_TRUE(unwound);
    EXPECT_EQ(elapsed(), 5s);
  }());
}

TEST(task_group, two_tasks_may_join_it) {
  in_virtual_time([]() -> task<> {
    int sum = 0;
    task_group group;
    group.start(add_after(sum, 1, 1s));
    auto both = gather(group.join(), group.join());
    co_await std::move(both);
    EXPECT_EQ(sum, 1);
  }());
}

TEST(task_group, a_member_that_joins_it_is_told_that_it_waits_for_itself) {
  std::string told;
  in_virtual_time([&]() -> task<> {
    task_group group;
    auto wait = [](task_group& g) -> task<> {
      task<> joining = g.join();
      co_await std::move(joining);
    };
    auto member = [&]() -> task<> {
      task<> waiting = wait(group);
      co_await std::move(waiting);
    };
    group.start(member());
    task<std::string> failing = fails_with(group.join());
    told = co_await std::move(failing);
  }());
  EXPECT_THAT(told, HasSubstr("async.deadlock"));
  EXPECT_THAT(told, HasSubstr("one of its own members"));
}

TEST(task_group, a_background_member_that_joins_it_harms_no_other) {
  in_virtual_time([]() -> task<> {
    task_group group;
    std::string told;
    auto member = [&]() -> task<> {
      task<std::string> joining = fails_with(group.join());
      told = co_await std::move(joining);
    };
    int sum = 0;
    group.start_background(add_after(sum, 1, 1s));
    group.start_background(member());
    co_await sleep_for(2s);
    EXPECT_THAT(told, HasSubstr("async.deadlock"));
    EXPECT_EQ(sum, 1);
    co_await group.join();
  }());
}

TEST(task_group, one_destroyed_with_members_alive_destroys_them_where_they_wait) {
  int alive = 0;
  in_virtual_time([&]() -> task<> {
    auto holds = [](counted) -> task<> { co_await sleep_for(1h); };
    {
      task_group group;
      group.start(holds(counted(alive)));
      group.start(holds(counted(alive)));
      co_await yield();
      EXPECT_EQ(alive, 2);
    }
    EXPECT_EQ(alive, 0);
  }());
}

TEST(task_group, members_that_have_ended_are_freed_while_others_run) {
  int alive = 0;
  in_virtual_time([&]() -> task<> {
    auto holds = [](counted, duration d) -> task<> { co_await sleep_for(d); };
    task_group group;
    for (int i = 0; i < 100; ++i) group.start(holds(counted(alive), 1s));
    group.start(holds(counted(alive), 3s));
    co_await sleep_for(2s);
    EXPECT_EQ(alive, 1);
    auto joined = group.join();
    co_await std::move(joined);
  }());
}

TEST(with_task_group, a_body_that_throws_cancels_the_members_and_waits_for_them) {
  in_virtual_time([]() -> task<> {
    auto body = [](task_group& group) -> task<> {
      group.start(fail_when_cancelled("member"));
      co_await sleep_for(1s);
      throw std::runtime_error("body");
    };
    auto running = with_task_group(body);
    auto settled = failure_of(std::move(running));
    std::exception_ptr failure = co_await std::move(settled);
    EXPECT_EQ(describe(failure), "std::runtime_error: body");
    EXPECT_THAT(attached_to(failure), ElementsAre("std::runtime_error: member"));
  }());
}

TEST(with_task_group, a_member_that_fails_cancels_the_body) {
  in_virtual_time([]() -> task<> {
    auto body = [](task_group& group) -> task<> {
      group.start(fail_after("member", 1s));
      event quit;
      co_await quit.wait();
    };
    auto running = with_task_group(body);
    auto settled = fails_with(std::move(running));
    EXPECT_EQ(co_await std::move(settled), "std::runtime_error: member");
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(with_task_group, cancelling_the_group_ends_the_body_without_a_failure) {
  in_virtual_time([]() -> task<> {
    bool went_on = false;
    auto body = [&](task_group& group) -> task<> {
      group.cancel("done");
      co_await sleep_for(1h);
      went_on = true;
    };
    auto running = with_task_group(body);
    co_await std::move(running);
    EXPECT_FALSE(went_on);
    EXPECT_EQ(elapsed(), 0s);
  }());
}

TEST(with_task_group, cancelled_from_outside_it_throws_the_cancellation) {
  in_virtual_time([]() -> task<> {
    int sum = 0;
    auto body = [&](task_group& group) -> task<> {
      group.start(add_after(sum, 1, 1h));
      co_await sleep_for(1h);
    };
    cancel_scope scope;
    auto cancel = [&]() -> task<> {
      co_await sleep_for(1s);
      scope.cancel("stop");
    };
    auto scoped = scope.run(with_task_group(body));
    auto settled = fails_with(std::move(scoped));
    auto both = gather(std::move(settled), cancel());
    auto [text, none] = co_await std::move(both);
    EXPECT_EQ(text, "penstock::operation_cancelled [async.operation_cancelled]: cancelled: stop");
    EXPECT_EQ(sum, 0);
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(with_task_group, a_body_that_is_no_coroutine_may_throw) {
  in_virtual_time([]() -> task<> {
    int sum = 0;
    auto body = [&](task_group& group) -> task<> {
      group.start(add_after(sum, 1, 1h));
      throw std::runtime_error("no task was made");
    };
    auto running = with_task_group(body);
    auto settled = fails_with(std::move(running));
    EXPECT_EQ(co_await std::move(settled), "std::runtime_error: no task was made");
  }());
}

}  // namespace
}  // namespace penstock
