#include "virtual_time.h"
#include <penstock/async/scheduler.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::ElementsAre;

// A timer that calls a function.
class call_timer : public timer {
 public:
  explicit call_timer(std::function<void()> call) : timer(&fire), call_(std::move(call)) {}

 private:
  static void fire(timer& t) noexcept { static_cast<call_timer&>(t).call_(); }
  std::function<void()> call_;
};

TEST(scheduler, timers_fire_in_order_whatever_order_they_were_added_and_cancelled_in) {
  in_virtual_time([]() -> task<> {
    scheduler& s = scheduler::current();
    time_point start = s.now();
    std::vector<std::pair<duration, int>> fired;
    std::vector<std::pair<duration, int>> expected;
    std::vector<std::unique_ptr<call_timer>> timers;
    for (int i = 0; i < 1000; ++i) {
      duration after(1 + s.random() % 100);
      timers.push_back(
          std::make_unique<call_timer>([&fired, &s, start, i] { fired.emplace_back(s.now() - start, i); }));
      s.add_timer(*timers.back(), start + after);
      if (s.random() % 3 == 0)
        timers.back()->cancel();
      else if (s.random() % 3 == 0)
        timers.back().reset();
      else
        expected.emplace_back(after, i);
    }
    std::sort(expected.begin(), expected.end());
    co_await sleep_for(1s);
    EXPECT_EQ(fired, expected);
  }());
}

TEST(scheduler, a_timer_is_pending_until_it_fires_or_is_cancelled) {
  in_virtual_time([]() -> task<> {
    scheduler& s = scheduler::current();
    call_timer t([] {});
    EXPECT_FALSE(t.pending());
    s.add_timer(t, s.now() + 1s);
    EXPECT_TRUE(t.pending());
    t.cancel();
    EXPECT_FALSE(t.pending());
    t.cancel();
    s.add_timer(t, s.now() + 1s);
    co_await sleep_for(2s);
    EXPECT_FALSE(t.pending());
  }());
}

TEST(scheduler, a_timer_that_rearms_itself_in_the_past_does_not_keep_others_from_running) {
  in_virtual_time([]() -> task<> {
    scheduler& s = scheduler::current();
    int fired = 0;
    std::unique_ptr<call_timer> again;
    again = std::make_unique<call_timer>([&] {
      ++fired;
      s.add_timer(*again, s.now() - 1h);
    });
    s.add_timer(*again, s.now());
    co_await sleep_for(0s);
    co_await sleep_for(0s);
    EXPECT_GE(fired, 2);
    EXPECT_LE(fired, 3);
    again.reset();
  }());
}

TEST(scheduler, a_timer_may_destroy_another_that_is_due) {
  in_virtual_time([]() -> task<> {
    scheduler& s = scheduler::current();
    bool fired = false;
    auto second = std::make_unique<call_timer>([&] { fired = true; });
    call_timer first([&] { second.reset(); });
    s.add_timer(first, s.now() + 1s);
    s.add_timer(*second, s.now() + 1s);
    co_await sleep_for(2s);
    EXPECT_FALSE(fired);
  }());
}

TEST(scheduler, timers_outlive_it_unharmed) {
  call_timer t([] {});
  {
    testing::simulation sim;
    sim.add_timer(t, sim.now() + 1s);
  }
  EXPECT_FALSE(t.pending());
}

TEST(scheduler, work_runs_outside_of_any_task) {
  struct probe : work_item {
    probe() : work_item(&check) {}
    static void check(work_item& w) noexcept {
      auto& self = static_cast<probe&>(w);
      self.ran = true;
      self.deadline = current_deadline();
    }
    bool ran = false;
    std::optional<time_point> deadline;
  };
  in_virtual_time([]() -> task<> {
    auto inside = []() -> task<> {
      probe item;
      scheduler::current().post(item);
      co_await yield();
      EXPECT_TRUE(item.ran);
      EXPECT_EQ(item.deadline, std::nullopt) << "the scope of the task that ran before is still set";
    };
    auto limited = with_timeout(1h, inside());
    co_await std::move(limited);
  }());
}

TEST(scheduler, random_numbers_are_the_same_for_the_same_seed) {
  auto draw = [](std::uint64_t seed) {
    testing::simulation sim({.seed = seed});
    return std::vector{sim.random(), sim.random(), sim.random()};
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

}  // namespace
}  // namespace penstock
