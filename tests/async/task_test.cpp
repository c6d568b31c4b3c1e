#include "virtual_time.h"
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock {
namespace {

task<int> value(int v) { co_return v; }
task<> nothing() { co_return; }

task<> note(std::string& log, std::string text) {
  log += text;
  co_return;
}

TEST(task, nothing_runs_until_it_is_awaited) {
  std::string log;
  in_virtual_time([&]() -> task<> {
    task<> later = note(log, "ran");
    EXPECT_EQ(log, "");
    co_await std::move(later);
    EXPECT_EQ(log, "ran");
  }());
}

TEST(task, one_that_is_never_awaited_is_destroyed_unrun) {
  std::string log;
  int alive = 0;
  auto holds = [](counted, std::string& l) -> task<> {
    l += "ran";
    co_return;
  };
  { task<> dropped = holds(counted(alive), log); }
  EXPECT_EQ(log, "");
  EXPECT_EQ(alive, 0);
}

TEST(task, gives_values_that_can_only_be_moved) {
  auto make = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
  std::unique_ptr<int> got = in_virtual_time(make());
  EXPECT_EQ(*got, 7);
}

TEST(task, gives_references) {
  int target = 1;
  auto refer = [](int& t) -> task<int&> { co_return t; };
  in_virtual_time([&]() -> task<> {
    task<int&> t = refer(target);
    int& got = co_await std::move(t);
    got = 5;
  }());
  EXPECT_EQ(target, 5);
}

TEST(task, gives_what_its_type_is_made_from) {
  auto brace = []() -> task<std::pair<int, std::string>> { co_return {3, "three"}; };
  EXPECT_EQ(in_virtual_time(brace()), std::pair(3, std::string("three")));
  auto convert = []() -> task<std::string> { co_return "text"; };
  EXPECT_EQ(in_virtual_time(convert()), "text");
}

TEST(task, gives_types_that_have_no_default) {
  struct needs_value {
    explicit needs_value(int v) : v(v) {}
    int v;
  };
  auto make = []() -> task<needs_value> { co_return needs_value(4); };
  EXPECT_EQ(in_virtual_time(make()).v, 4);
}

TEST(task, an_exception_reaches_who_awaits) {
  auto fail = []() -> task<int> {
    throw std::runtime_error("no");
    co_return 0;
  };
  in_virtual_time([&]() -> task<> {
    task<int> t = fail();
    task<std::string> settled = fails_with(std::move(t));
    EXPECT_EQ(co_await std::move(settled), "std::runtime_error: no");
  }());
}

TEST(task, an_exception_while_its_result_is_made_is_the_tasks_own) {
  struct throws_on_move {
    throws_on_move() = default;
    throws_on_move(throws_on_move&&) { throw std::runtime_error("moved"); }
  };
  auto make = []() -> task<throws_on_move> { co_return throws_on_move(); };
  EXPECT_THROW(in_virtual_time(make()), std::runtime_error);
}

TEST(task, is_empty_once_moved_from) {
  task<> one = nothing();
  task<> two = std::move(one);
  EXPECT_FALSE(one);
  EXPECT_TRUE(two);
  one = std::move(two);
  EXPECT_TRUE(one);
  EXPECT_FALSE(two);
}

TEST(task, assigning_over_one_destroys_it) {
  int alive = 0;
  auto holds = [](counted) -> task<> { co_return; };
  task<> t = holds(counted(alive));
  EXPECT_EQ(alive, 1);
  t = nothing();
  EXPECT_EQ(alive, 0);
}

TEST(task, locals_are_destroyed_before_the_parent_goes_on) {
  int alive = 0;
  auto holds = [](int& a) -> task<> {
    counted local(a);
    co_await yield();
  };
  in_virtual_time([&]() -> task<> {
    task<> t = holds(alive);
    co_await std::move(t);
    EXPECT_EQ(alive, 0);
  }());
}

TEST(task, one_destroyed_where_it_waits_unwinds_from_the_inside_out) {
  std::string log;
  struct says {
    std::string& log;
    const char* text;
    ~says() { log += text; }
  };
  auto inner = [&]() -> task<> {
    says bye{log, "inner "};
    co_await sleep_for(1h);
    log += "never ";
  };
  auto outer = [&]() -> task<> {
    says bye{log, "outer "};
    task<> t = inner();
    co_await std::move(t);
  };
  auto main = [&]() -> task<> {
    std::vector<task<>> both;
    both.push_back(outer());
    both.push_back([]() -> task<> {
      co_await yield();
      throw std::runtime_error("stop");
    }());
    task<> all = gather(std::move(both));
    co_await std::move(all);
  };
  testing::simulation sim({.most_steps = 2});
  EXPECT_THROW(sim.run(main()), error);
  EXPECT_EQ(log, "inner outer ");
}

task<int> sum_down(int n) {
  if (n == 0) co_return 0;
  int below = co_await sum_down(n - 1);
  co_return below + 1;
}

TEST(task, a_hundred_thousand_nested_awaits_do_not_use_up_the_stack) {
  EXPECT_EQ(in_virtual_time(sum_down(100'000)), 100'000);
}

task<int> sum_down_waiting(int n) {
  if (n == 0) {
    co_await sleep_for(1s);
    co_return 0;
  }
  int below = co_await sum_down_waiting(n - 1);
  co_return below + 1;
}

TEST(task, a_wait_below_a_hundred_thousand_awaits_does_not_use_up_the_stack) {
  EXPECT_EQ(in_virtual_time(sum_down_waiting(100'000)), 100'000);
}

task<int> throw_below(int n) {
  if (n == 0) throw std::runtime_error("at the bottom");
  co_return co_await throw_below(n - 1);
}

TEST(task, an_exception_below_ten_thousand_awaits_does_not_use_up_the_stack) {
  in_virtual_time([]() -> task<> {
    task<int> deep = throw_below(10'000);
    task<std::exception_ptr> settled = failure_of(std::move(deep));
    std::exception_ptr failure = co_await std::move(settled);
    EXPECT_EQ(describe(failure), "std::runtime_error: at the bottom");
    std::vector<traceback_frame> steps = traceback_of(failure);
    EXPECT_EQ(steps.size(), 200u);
    // failure_of, 10,001 tasks of which the last one threw: 10,002 steps.
    EXPECT_EQ(steps[99].note, "9802 steps after this one left out");
    EXPECT_EQ(steps.back().note, "thrown inside");
  }());
}

TEST(task, a_million_awaits_in_a_loop_do_not_use_up_the_stack) {
  auto loop = []() -> task<int> {
    int sum = 0;
    for (int i = 0; i < 1'000'000; ++i) sum += co_await value(1);
    co_return sum;
  };
  EXPECT_EQ(in_virtual_time(loop()), 1'000'000);
}

TEST(task, awaiting_one_that_does_not_wait_lets_no_other_run_first) {
  std::string log;
  in_virtual_time([&]() -> task<> {
    auto awaits = [&]() -> task<> {
      log += "a";
      co_await nothing();
      log += "b";
    };
    auto other = [&]() -> task<> {
      log += "c";
      co_return;
    };
    co_await gather(awaits(), other());
  }());
  EXPECT_EQ(log, "abc");
}

TEST(task, one_that_has_run_or_holds_nothing_is_told_so) {
  using namespace std::chrono_literals;
  auto spent = [](auto use) -> task<bool> {
    try {
      co_await use();
    } catch (const error& e) {
      co_return e.is(async_errc::task_spent);
    }
    co_return false;
  };
  auto body = [&]() -> task<> {
    auto one = []() -> task<int> { co_return 1; };
    task<int> twice = one();
    EXPECT_EQ(co_await std::move(twice), 1);
    auto awaited_again = [&]() -> task<> { co_await std::move(twice); };
    EXPECT_TRUE(co_await spent(awaited_again));
    auto empty = []() -> task<> { co_await task<>(); };
    EXPECT_TRUE(co_await spent(empty));
    auto gathered = [&]() -> task<> {
      std::vector<task<int>> some;
      some.push_back(one());
      some.emplace_back();
      co_await gather(std::move(some));
    };
    EXPECT_TRUE(co_await spent(gathered));
    auto timed = []() -> task<> { co_await with_timeout(1s, task<>()); };
    EXPECT_TRUE(co_await spent(timed));
    auto grouped = []() -> task<> {
      co_await with_task_group([](task_group& group) -> task<> {
        group.start(task<>());
        co_return;
      });
    };
    EXPECT_TRUE(co_await spent(grouped));
  };
  in_virtual_time(body());
}

}  // namespace
}  // namespace penstock
