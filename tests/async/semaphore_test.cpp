#include "virtual_time.h"
#include <penstock/async/cancel.h>
#include <penstock/async/gather.h>
#include <penstock/async/mutex.h>
#include <penstock/async/semaphore.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

// Takes permits, notes its name, and holds them for a while.
task<> use(semaphore& s, std::size_t count, std::string& log, char name, duration hold) {
  auto permits = co_await s.acquire(count);
  log += name;
  co_await sleep_for(hold);
}

TEST(semaphore, no_more_than_its_capacity_hold_it_at_once) {
  in_virtual_time([]() -> task<> {
    semaphore three(3);
    int holders = 0;
    int most = 0;
    auto work = [&]() -> task<> {
      auto permit = co_await three.acquire();
      most = std::max(most, ++holders);
      co_await sleep_for(1s);
      --holders;
    };
    std::vector<task<>> tasks;
    for (int i = 0; i < 10; ++i) tasks.push_back(work());
    auto all = gather(std::move(tasks));
    co_await std::move(all);
    EXPECT_EQ(most, 3);
    EXPECT_EQ(elapsed(), 4s);
    EXPECT_EQ(three.available(), 3u);
  }());
}

TEST(semaphore, is_first_come_first_served_though_later_ones_want_less) {
  std::string log;
  in_virtual_time([&]() -> task<> {
    semaphore three(3);
    auto all = gather(use(three, 2, log, 'a', 2s), use(three, 3, log, 'b', 1s), use(three, 1, log, 'c', 1s),
                      use(three, 1, log, 'd', 1s));
    co_await std::move(all);
    EXPECT_EQ(elapsed(), 4s);
  }());
  EXPECT_EQ(log, "abcd");
}

TEST(semaphore, a_cancelled_waiter_lets_those_behind_it_pass) {
  std::string log;
  in_virtual_time([&]() -> task<> {
    semaphore three(3);
    cancel_scope scope;
    auto held = co_await three.acquire(2);
    auto large = scope.run(use(three, 3, log, 'x', 1s));
    auto settled = fails_with(std::move(large));
    auto cancel = [&]() -> task<> {
      co_await sleep_for(1s);
      scope.cancel();
    };
    auto all = gather(std::move(settled), use(three, 1, log, 'b', 1s), cancel());
    auto [text, none, nothing] = co_await std::move(all);
    EXPECT_THAT(text, HasSubstr("async.operation_cancelled"));
    EXPECT_EQ(elapsed(), 2s);
  }());
  EXPECT_EQ(log, "b");
}

TEST(semaphore, a_waiter_granted_and_cancelled_in_one_turn_does_not_lose_the_permit) {
  std::string log;
  in_virtual_time([&]() -> task<> {
    semaphore one(1);
    cancel_scope scope;
    std::optional held = one.try_acquire();
    auto first = scope.run(use(one, 1, log, 'a', 1h));
    auto settled = fails_with(std::move(first));
    auto both = [&]() -> task<> {
      co_await yield();
      held.reset();
      scope.cancel();
    };
    auto all = gather(std::move(settled), use(one, 1, log, 'b', 0s), both());
    auto [text, none, nothing] = co_await std::move(all);
    // It got the permit, and was cancelled at its next wait.
    EXPECT_THAT(text, HasSubstr("async.operation_cancelled"));
    EXPECT_EQ(one.available(), 1u);
    EXPECT_EQ(one.waiting(), 0u);
  }());
  EXPECT_EQ(log, "ab");
}

TEST(semaphore, a_waiter_cancelled_and_then_passed_over_in_one_turn_takes_nothing) {
  std::string log;
  in_virtual_time([&]() -> task<> {
    semaphore one(1);
    cancel_scope scope;
    std::optional held = one.try_acquire();
    auto first = scope.run(use(one, 1, log, 'a', 1h));
    auto settled = fails_with(std::move(first));
    auto both = [&]() -> task<> {
      co_await yield();
      scope.cancel();
      held.reset();
    };
    auto all = gather(std::move(settled), use(one, 1, log, 'b', 0s), both());
    co_await std::move(all);
    EXPECT_EQ(one.available(), 1u);
  }());
  EXPECT_EQ(log, "b");
}

TEST(semaphore, a_waiter_destroyed_after_it_was_granted_gives_the_permit_on) {
  std::string log;
  in_virtual_time([&]() -> task<> {
    semaphore one(1);
    std::optional held = one.try_acquire();
    std::optional<task_group> doomed(std::in_place);
    doomed->start(use(one, 1, log, 'a', 1h));
    co_await yield();
    task_group group;
    group.start(use(one, 1, log, 'b', 0s));
    co_await yield();
    EXPECT_EQ(one.waiting(), 2u);
    held.reset();
    doomed.reset();
    auto joined = group.join();
    co_await std::move(joined);
    EXPECT_EQ(one.available(), 1u);
  }());
  EXPECT_EQ(log, "b");
}

TEST(semaphore, try_acquire_does_not_overtake_who_waits) {
  in_virtual_time([]() -> task<> {
    semaphore two(2);
    std::string log;
    auto held = co_await two.acquire();
    task_group group;
    group.start(use(two, 2, log, 'a', 0s));
    co_await yield();
    EXPECT_FALSE(two.try_acquire());
    held.release();
    EXPECT_EQ(held.count(), 0u);
    auto joined = group.join();
    co_await std::move(joined);
    EXPECT_TRUE(two.try_acquire(2));
  }());
}

TEST(semaphore, asking_for_more_than_its_capacity_is_an_error) {
  in_virtual_time([]() -> task<> {
    semaphore two(2);
    std::string log;
    auto settled = fails_with(use(two, 3, log, 'a', 0s));
    EXPECT_EQ(co_await std::move(settled),
              "penstock::error [async.semaphore_capacity]: asked for 3 permits "
              "of a semaphore of 2");
  }());
}

TEST(semaphore, a_moved_permit_is_given_back_once) {
  semaphore two(2);
  {
    std::optional one = two.try_acquire();
    semaphore::permit moved = std::move(*one);
    semaphore::permit other = *two.try_acquire();
    EXPECT_EQ(two.available(), 0u);
    other = std::move(moved);
    EXPECT_EQ(two.available(), 1u);
  }
  EXPECT_EQ(two.available(), 2u);
}

}  // namespace
}  // namespace penstock
