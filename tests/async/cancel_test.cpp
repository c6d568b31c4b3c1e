#include "virtual_time.h"
#include <penstock/async/cancel.h>
#include <penstock/async/channel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/map_bounded.h>
#include <penstock/async/mutex.h>
#include <penstock/async/on_worker.h>
#include <penstock/async/race.h>
#include <penstock/async/semaphore.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

// Things to wait for, none of which ever comes.
struct never {
  event flag;
  semaphore taken{1};
  mutex locked;
  channel<int> empty{1};
  channel<int> direct{0};
  channel<int> full{1};
  std::optional<semaphore::permit> permit = taken.try_acquire();
  std::optional<mutex::guard> guard = locked.try_lock();
  never() {
    int one = 1;
    full.try_send(one);
  }

  // Nobody waits any more, and everything works.
  void check() {
    EXPECT_EQ(taken.waiting(), 0u);
    permit.reset();
    guard.reset();
    EXPECT_EQ(taken.available(), 1u);
    EXPECT_FALSE(locked.locked());
    flag.set();
    int two = 2;
    EXPECT_TRUE(empty.try_send(two)) << "no cancelled receiver takes a value";
    EXPECT_FALSE(direct.try_receive()) << "no cancelled sender gives a value";
    EXPECT_EQ(full.try_receive(), 1);
    EXPECT_FALSE(full.try_receive());
  }
};

struct wait_case {
  const char* name;
  std::function<task<>(never&)> wait;
};

task<int> sleep_long() {
  co_await sleep_for(1h);
  co_return 0;
}

const std::vector<wait_case>& waits() {
  static const std::vector<wait_case> all = {
      {"sleep", [](never&) -> task<> { co_await sleep_for(1h); }},
      {"event", [](never& n) -> task<> { co_await n.flag.wait(); }},
      {"semaphore", [](never& n) -> task<> { auto permit = co_await n.taken.acquire(); }},
      {"mutex", [](never& n) -> task<> { auto guard = co_await n.locked.lock(); }},
      {"receive", [](never& n) -> task<> { co_await n.empty.receive(); }},
      {"direct_receive", [](never& n) -> task<> { co_await n.direct.receive(); }},
      {"send", [](never& n) -> task<> { co_await n.full.send(9); }},
      {"direct_send", [](never& n) -> task<> { co_await n.direct.send(9); }},
      {"gather",
       [](never&) -> task<> {
         auto all = gather(sleep_long(), sleep_long());
         co_await std::move(all);
       }},
      {"gather_settled",
       [](never&) -> task<> {
         auto all = gather_settled(sleep_long(), sleep_long());
         co_await std::move(all);
       }},
      {"race",
       [](never&) -> task<> {
         auto first = race(sleep_long(), sleep_long());
         co_await std::move(first);
       }},
      {"map_bounded",
       [](never&) -> task<> {
         auto all = map_bounded(std::vector{1, 2, 3}, 2, [](int) { return sleep_long(); });
         co_await std::move(all);
       }},
      {"map_bounded_settled",
       [](never&) -> task<> {
         auto all = map_bounded_settled(std::vector{1, 2, 3}, 2, [](int) { return sleep_long(); });
         co_await std::move(all);
       }},
      {"task_group",
       [](never& n) -> task<> {
         auto body = [&](task_group& group) -> task<> {
           auto member = [&]() -> task<> { co_await n.flag.wait(); };
           group.start(member());
           group.start_background(member());
           co_return;
         };
         auto running = with_task_group(body);
         co_await std::move(running);
       }},
      {"nested",
       [](never& n) -> task<> {
         auto inner = [&]() -> task<> { co_await n.flag.wait(); };
         auto limited = with_timeout(24h, inner());
         co_await std::move(limited);
       }},
  };
  return all;
}

class cancel_wait : public ::testing::TestWithParam<wait_case> {};

TEST_P(cancel_wait, a_cancel_wakes_it_at_once_and_leaves_nothing_behind) {
  never n;
  in_virtual_time([&]() -> task<> {
    cancel_scope scope;
    auto cancel = [&]() -> task<> {
      co_await sleep_for(1s);
      scope.cancel("test");
    };
    auto scoped = scope.run(GetParam().wait(n));
    auto settled = fails_with(std::move(scoped));
    auto both = gather(std::move(settled), cancel());
    auto [text, none] = co_await std::move(both);
    EXPECT_EQ(text,
              "penstock::operation_cancelled "
              "[async.operation_cancelled]: cancelled: test");
    EXPECT_EQ(elapsed(), 1s);
  }());
  n.check();
}

TEST_P(cancel_wait, in_a_cancelled_scope_it_does_not_begin) {
  never n;
  in_virtual_time([&]() -> task<> {
    cancel_scope scope;
    scope.cancel("before");
    auto scoped = scope.run(GetParam().wait(n));
    auto settled = fails_with(std::move(scoped));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("async.operation_cancelled"));
    EXPECT_EQ(elapsed(), 0s);
  }());
  n.check();
}

TEST_P(cancel_wait, destroyed_while_it_waits_it_leaves_nothing_behind) {
  never n;
  in_virtual_time([&]() -> task<> {
    {
      task_group group;
      group.start(GetParam().wait(n));
      co_await sleep_for(1s);
    }
    co_await sleep_for(48h);
  }());
  n.check();
}

TEST_P(cancel_wait, destroyed_after_the_cancel_woke_it_it_is_not_resumed) {
  never n;
  in_virtual_time([&]() -> task<> {
    {
      task_group group;
      group.start(GetParam().wait(n));
      co_await sleep_for(1s);
      group.cancel();
    }
    co_await sleep_for(48h);
  }());
  n.check();
}

INSTANTIATE_TEST_SUITE_P(every, cancel_wait, ::testing::ValuesIn(waits()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(cancel_scope, cancels_what_is_below_and_nothing_beside) {
  in_virtual_time([]() -> task<> {
    cancel_scope inner;
    auto beside = []() -> task<int> {
      co_await sleep_for(5s);
      co_return 1;
    };
    auto cancel = [&]() -> task<> {
      co_await sleep_for(1s);
      inner.cancel();
    };
    auto scoped = inner.run(sleep_long());
    auto settled = fails_with(std::move(scoped));
    auto all = gather(std::move(settled), beside(), cancel());
    auto [text, one, none] = co_await std::move(all);
    EXPECT_THAT(text, HasSubstr("cancelled"));
    EXPECT_EQ(one, 1);
    EXPECT_EQ(elapsed(), 5s);
  }());
}

TEST(cancel_scope, is_level_triggered_until_the_task_has_unwound) {
  in_virtual_time([]() -> task<> {
    cancel_scope scope;
    int thrown = 0;
    auto stubborn = [&]() -> task<> {
      for (int i = 0; i < 3; ++i) {
        try {
          co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
          ++thrown;
        }
      }
    };
    scope.cancel();
    auto scoped = scope.run(stubborn());
    co_await std::move(scoped);
    EXPECT_EQ(thrown, 3);
    EXPECT_EQ(elapsed(), 0s);
  }());
}

TEST(cancel_scope, an_operation_that_had_completed_keeps_its_result) {
  in_virtual_time([]() -> task<> {
    cancel_scope scope;
    event flag;
    bool got = false;
    auto waits = [&]() -> task<> {
      co_await flag.wait();
      got = true;
      EXPECT_TRUE(is_cancelled());
      EXPECT_THROW(throw_if_cancelled(), operation_cancelled);
    };
    auto both = [&]() -> task<> {
      co_await yield();
      flag.set();
      scope.cancel();
    };
    auto all = gather(scope.run(waits()), both());
    co_await std::move(all);
    EXPECT_TRUE(got);
  }());
}

TEST(cancel_scope, serves_one_task_at_a_time) {
  in_virtual_time([]() -> task<> {
    cancel_scope scope;
    auto nap = []() -> task<> { co_await sleep_for(1s); };
    auto both = gather_settled(scope.run(nap()), scope.run(nap()));
    auto [a, b] = co_await std::move(both);
    EXPECT_TRUE(a);
    EXPECT_THAT(describe(b.exception()), HasSubstr("async.scope_in_use"));
    auto again = scope.run(nap());
    co_await std::move(again);
  }());
}

TEST(cancel_scope, whose_run_was_cancelled_from_above_runs_the_next) {
  in_virtual_time([]() -> task<> {
    cancel_scope scope;
    auto limited = with_timeout(1s, scope.run(sleep_long()));
    auto settled = fails_with(std::move(limited));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("async.timed_out"));
    EXPECT_FALSE(scope.cancelled());
    auto nap = []() -> task<> { co_await sleep_for(1s); };
    auto next = scope.run(nap());
    co_await std::move(next);
    EXPECT_EQ(elapsed(), 2s);
  }());
}

TEST(cancel_scope, cancelled_while_its_run_was_cancelled_from_above_too_stays_cancelled) {
  in_virtual_time([]() -> task<> {
    cancel_scope scope;
    auto ends = [&]() -> task<> {
      try {
        co_await sleep_for(1h);
      } catch (const operation_cancelled&) {
        scope.cancel("quit");
        throw;
      }
    };
    auto limited = with_timeout(1s, scope.run(ends()));
    auto settled = fails_with(std::move(limited));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("async.timed_out"));
    EXPECT_TRUE(scope.cancelled());
    auto next = scope.run(sleep_long());
    auto refused = fails_with(std::move(next));
    EXPECT_THAT(co_await std::move(refused), HasSubstr("quit"));
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(cancel_scope, a_hundred_scopes_deep_the_innermost_wait_is_woken) {
  std::function<task<>(int)> nest = [&](int depth) -> task<> {
    if (depth == 0) {
      co_await sleep_for(1h);
      co_return;
    }
    cancel_scope scope;
    auto inner = scope.run(nest(depth - 1));
    co_await std::move(inner);
  };
  in_virtual_time([&]() -> task<> {
    auto limited = with_timeout(1s, nest(100));
    auto settled = fails_with(std::move(limited));
    EXPECT_THAT(co_await std::move(settled), HasSubstr("async.timed_out"));
    EXPECT_EQ(elapsed(), 1s);
  }());
}

TEST(cancel_scope, destroyed_in_mid_run_its_task_goes_before_it_leaves_the_tree) {
  semaphore one(1);
  in_virtual_time([&]() -> task<> {
    auto waits = [&]() -> task<> { auto permit = co_await one.acquire(); };
    auto main = [&]() -> task<> {
      // Destroying the permit first hands it to the waiting child.
      task<> child = waits();
      auto permit = co_await one.acquire();
      co_await std::move(child);
    };
    cancel_scope scope;
    task_group group;
    group.start(scope.run(main()));
    co_await yield();
    EXPECT_EQ(one.waiting(), 1u);
  }());
  EXPECT_EQ(one.available(), 1u);
}

}  // namespace
}  // namespace penstock
