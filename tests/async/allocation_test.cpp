#include "allocation_counter.h"
#include "recycled_frames.h"
#include "virtual_time.h"
#include <penstock/async/channel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/semaphore.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

#include <functional>
#include <string>

#include <gtest/gtest.h>

namespace penstock {
namespace {

task<int> one() { co_return 1; }

task<> await_child() { co_await one(); }

task<> await_waiting_child() {
  auto wait = []() -> task<> { co_await yield(); };
  co_await wait();
}

task<> start_and_join() {
  task_group group;
  group.start(await_child());
  task<> joined = group.join();
  co_await std::move(joined);
}

task<> gather_two() {
  auto both = gather(one(), one());
  co_await std::move(both);
}

task<> sleep_within_a_limit() {
  auto nap = []() -> task<> { co_await sleep_for(1ms); };
  auto limited = with_timeout(1s, nap());
  co_await std::move(limited);
}

task<> take_a_permit() {
  semaphore s(1);
  auto permit = co_await s.acquire();
}

struct allocation_case {
  const char* name;
  task<> (*operation)();
  int frames;  // how many tasks the operation makes, its own included
};

class allocation : public ::testing::TestWithParam<allocation_case> {};

TEST_P(allocation, is_one_frame_for_each_task_and_none_once_frames_are_recycled) {
  in_virtual_time([]() -> task<> {
    for (int i = 0; i < 10; ++i) {
      task<> warm_up = GetParam().operation();
      co_await std::move(warm_up);
    }
    std::uint64_t before = allocations;
    for (int i = 0; i < 100; ++i) {
      task<> t = GetParam().operation();
      co_await std::move(t);
    }
    auto made = static_cast<int>(allocations - before);
    EXPECT_LE(made, frames_are_recycled ? 0 : 100 * GetParam().frames);
  }());
}

INSTANTIATE_TEST_SUITE_P(of, allocation,
                         ::testing::Values(allocation_case{"await", &await_child, 2},
                                           allocation_case{"await_of_one_that_waits", &await_waiting_child, 2},
                                           // A member of a group has a block beside its frame.
                                           allocation_case{"task_group", &start_and_join, 5},
                                           allocation_case{"gather", &gather_two, 4},
                                           allocation_case{"timeout", &sleep_within_a_limit, 3},
                                           allocation_case{"semaphore", &take_a_permit, 1}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(allocation, a_channel_reuses_its_slots) {
  in_virtual_time([]() -> task<> {
    channel<int> c(64);
    for (int i = 0; i < 64; ++i) EXPECT_TRUE(c.try_send(i));
    while (c.try_receive()) continue;
    std::uint64_t before = allocations;
    for (int round = 0; round < 100; ++round) {
      for (int i = 0; i < 64; ++i) co_await c.send(i);
      for (int i = 0; i < 64; ++i) EXPECT_EQ(co_await c.receive(), i);
    }
    EXPECT_EQ(allocations - before, 0u);
  }());
}

}  // namespace
}  // namespace penstock
