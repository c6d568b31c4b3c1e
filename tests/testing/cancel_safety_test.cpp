// Every awaitable of room async, cancelled at every suspension point, and with every step failing: nothing is left
// taken, waiting or lost.

#include <penstock/async/cancel.h>
#include <penstock/async/channel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/map_bounded.h>
#include <penstock/async/mutex.h>
#include <penstock/async/on_worker.h>
#include <penstock/async/race.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/testing/enumeration.h>
#include <penstock/testing/failure_point.h>

#include <optional>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;

// A step that takes time, and may be told to fail.
task<int> step(int value) {
  co_await sleep_for(1s);
  if (should_fail("step")) throw error(async_errc::no_tasks, "the step failed");
  co_return value;
}

task<void> step_without_result() {
  task<int> one = step(1);
  co_await std::move(one);
}

std::vector<task<int>> three_steps() {
  std::vector<task<int>> steps;
  for (int i = 1; i <= 3; ++i) steps.push_back(step(i));
  return steps;
}

// Passes a scenario through both; at least so many points and operations are met on the way.
void passes_both(const std::function<task<void>()>& scenario, std::size_t points, std::size_t operations) {
  EXPECT_GE(assert_cancel_safe(scenario), points);
  EXPECT_GE(for_each_failure(scenario), operations);
}

TEST(cancel_safety, of_sleep_for) {
  passes_both([]() -> task<> { co_await sleep_for(1s); }, 2, 0);
}

TEST(cancel_safety, of_yield) {
  passes_both([]() -> task<> { co_await yield(); }, 2, 0);
}

TEST(cancel_safety, of_on_worker) {
  passes_both([]() -> task<> { co_await on_worker([] { return 42; }); }, 2, 0);
}

TEST(cancel_safety, of_with_timeout) {
  passes_both(
      []() -> task<> {
        task<int> in_time = with_timeout(5s, step(1));
        co_await std::move(in_time);
        task<int> late = with_timeout(500ms, step(2));
        std::optional<int> result;
        try {
          result = co_await std::move(late);
        } catch (const timed_out&) {
        }
        EXPECT_EQ(result, std::nullopt);
      },
      4, 1);
}

TEST(cancel_safety, of_a_semaphore) {
  auto scenario = [](cancellation& c) -> task<> {
    semaphore two(2);
    auto take = [&](std::size_t count) -> task<> {
      auto permits = co_await two.acquire(count);
      co_await step_without_result();
    };
    task_group others;
    others.start(take(2), "first");
    others.start(take(1), "second");
    co_await yield();
    task<bool> taking = c.run(take(2));
    co_await std::move(taking);
    co_await others.join();
    EXPECT_EQ(two.available(), 2u);
    EXPECT_EQ(two.waiting(), 0u);
  };
  EXPECT_GE(assert_cancel_safe(scenario), 6u);
  for_each_failure([&]() -> task<> {
    semaphore one(1);
    auto take = [&]() -> task<> {
      auto permit = co_await one.acquire();
      co_await step_without_result();
    };
    task<void> a = take();
    task<void> b = take();
    std::vector<task<void>> both;
    both.push_back(std::move(a));
    both.push_back(std::move(b));
    co_await gather_settled(std::move(both));
    EXPECT_EQ(one.available(), 1u);
  });
}

TEST(cancel_safety, of_a_mutex) {
  auto scenario = [](cancellation& c) -> task<> {
    mutex m;
    int inside = 0;
    auto locked = [&]() -> task<> {
      auto guard = co_await m.lock();
      EXPECT_EQ(++inside, 1);
      std::exception_ptr failure;
      try {
        co_await sleep_for(1s);
      } catch (...) {
        failure = std::current_exception();
      }
      --inside;
      if (failure) std::rethrow_exception(failure);
    };
    task_group others;
    others.start(locked(), "before");
    co_await yield();
    others.start(locked(), "beside");
    task<bool> locking = c.run(locked());
    co_await std::move(locking);
    co_await others.join();
    EXPECT_FALSE(m.locked());
  };
  EXPECT_GE(assert_cancel_safe(scenario), 4u);
}

TEST(cancel_safety, of_an_event) {
  auto scenario = [](cancellation& c) -> task<> {
    event ready;
    int seen = 0;
    auto waits = [&]() -> task<> {
      co_await ready.wait();
      ++seen;
    };
    task_group others;
    others.start(waits(), "beside");
    auto sets = [&]() -> task<> {
      co_await sleep_for(1s);
      ready.set();
    };
    others.start(sets(), "setter");
    task<bool> waiting = c.run(waits());
    bool ended_well = co_await std::move(waiting);
    co_await others.join();
    EXPECT_EQ(seen, ended_well ? 2 : 1) << "the one beside it is woken all the same";
  };
  EXPECT_GE(assert_cancel_safe(scenario), 2u);
}

// What was sent is received, once and in order, whichever end is cancelled; a send that was cancelled did not happen.
TEST(cancel_safety, of_both_ends_of_a_channel) {
  for (std::size_t capacity : {0, 1, 4}) {
    for (bool cancel_receiver : {false, true}) {
      auto scenario = [&](cancellation& c) -> task<> {
        channel<int> numbers(capacity);
        std::vector<int> sent;
        std::vector<int> received;
        auto sends = [&]() -> task<> {
          for (int i = 1; i <= 3; ++i) {
            co_await numbers.send(i);
            sent.push_back(i);
          }
        };
        auto receives = [&]() -> task<> {
          while (std::optional<int> n = co_await numbers.receive()) received.push_back(*n);
        };
        auto then_close = [&](task<void> first) -> task<> {
          co_await std::move(first);
          numbers.close();
        };
        task_group others;
        if (cancel_receiver) {
          others.start(then_close(sends()), "sender");
          task<bool> receiving = c.run(receives());
          co_await std::move(receiving);
          task<void> rest = receives();
          co_await std::move(rest);
        } else {
          others.start(receives(), "receiver");
          task<bool> sending = c.run(sends());
          co_await std::move(sending);
          numbers.close();
        }
        co_await others.join();
        EXPECT_EQ(received, sent) << "capacity " << capacity;
      };
      // A sender that finds room for all never waits.
      EXPECT_GE(assert_cancel_safe(scenario), !cancel_receiver && capacity > 3 ? 0u : 2u);
    }
  }
}

TEST(cancel_safety, of_gather) {
  passes_both([]() -> task<> { co_await gather(three_steps()); }, 6, 3);
  passes_both([]() -> task<> { co_await gather_settled(three_steps()); }, 6, 3);
}

TEST(cancel_safety, of_race) {
  passes_both(
      []() -> task<> {
        // Not both at one instant: what the loser fails with goes to the unhandled-error handler.
        auto late = []() -> task<int> {
          co_await sleep_for(1s);
          task<int> then = step(2);
          co_return co_await std::move(then);
        };
        task<int> first = step(1);
        task<int> second = late();
        co_await race(std::move(first), std::move(second));
      },
      4, 1);
}

TEST(cancel_safety, of_map_bounded) {
  passes_both(
      []() -> task<> {
        std::vector<int> items{1, 2, 3, 4, 5};
        auto mapped = map_bounded(items, 2, [](int i) { return step(i); });
        co_await std::move(mapped);
      },
      10, 5);
}

TEST(cancel_safety, of_a_task_group) {
  passes_both(
      []() -> task<> {
        auto body = [](task_group& group) -> task<> {
          group.start(step_without_result(), "one");
          group.start(step_without_result(), "two");
          group.start_background(step_without_result(), "background");
          co_await step_without_result();
        };
        task<void> grouped = with_task_group(body);
        co_await std::move(grouped);
      },
      6, 3);
}

TEST(cancel_safety, of_shield) {
  auto scenario = [](cancellation& c) -> task<> {
    bool cleaned_up = false;
    auto cleans_up = [&]() -> task<> {
      co_await sleep_for(1s);
      cleaned_up = true;
    };
    auto works = [&]() -> task<> {
      task<void> shielded = shield(cleans_up());
      co_await std::move(shielded);
      co_await sleep_for(1s);
    };
    task<bool> working = c.run(works());
    co_await std::move(working);
    EXPECT_TRUE(cleaned_up);
  };
  EXPECT_EQ(assert_cancel_safe(scenario), 4u);
}

}  // namespace
}  // namespace penstock::testing
