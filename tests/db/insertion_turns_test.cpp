#include "db/insertion_turns.h"

#include "../async/virtual_time.h"
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

// Large insertions into one table go one after another, and a stuck one does not hold the others up for good.

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

task<void> insert(insertion_turns& turns, std::string table, duration takes, std::vector<duration>& begun) {
  task<semaphore::permit> taking = turns.take(std::move(table));
  [[maybe_unused]] semaphore::permit turn = co_await std::move(taking);
  begun.push_back(scheduler::current().now().time_since_epoch());
  co_await sleep_for(takes);
}

TEST(insertion_turns, are_taken_one_after_another_for_one_table_and_at_once_for_others) {
  in_virtual_time([]() -> task<> {
    insertion_turns turns(1);
    std::vector<duration> begun;
    duration start = scheduler::current().now().time_since_epoch();
    co_await with_task_group([&](task_group& group) -> task<> {
      for (const char* table : {"a", "a", "b", "a"}) group.start(insert(turns, table, 10ms, begun));
      co_return;
    });
    for (duration& at : begun) at -= start;
    EXPECT_EQ(begun, (std::vector<duration>{0ms, 0ms, 10ms, 20ms}));
  }());
}

TEST(insertion_turns, are_taken_by_as_many_at_a_time_as_the_database_is_good_for) {
  in_virtual_time([]() -> task<> {
    insertion_turns turns(2);
    std::vector<duration> begun;
    duration start = scheduler::current().now().time_since_epoch();
    co_await with_task_group([&](task_group& group) -> task<> {
      for (duration takes : {10ms, 30ms, 10ms, 10ms}) group.start(insert(turns, "a", takes, begun));
      co_return;
    });
    for (duration& at : begun) at -= start;
    EXPECT_EQ(begun, (std::vector<duration>{0ms, 0ms, 10ms, 20ms}));
  }());
}

TEST(insertion_turns, are_not_waited_for_for_long) {
  in_virtual_time([]() -> task<> {
    insertion_turns turns(1);
    std::vector<duration> begun;
    duration start = scheduler::current().now().time_since_epoch();
    co_await with_task_group([&](task_group& group) -> task<> {
      for (duration takes : {1h, 1h, 1h}) group.start(insert(turns, "a", takes, begun));
      co_return;
    });
    for (duration& at : begun) at -= start;
    EXPECT_EQ(begun, (std::vector<duration>{0s, 1s, 1s}));
  }());
}

TEST(insertion_turns, pass_to_the_next_when_who_waits_is_cancelled) {
  in_virtual_time([]() -> task<> {
    insertion_turns turns(1);
    std::vector<duration> begun;
    duration start = scheduler::current().now().time_since_epoch();
    auto impatient = [&]() -> task<> {
      try {
        co_await with_timeout(5ms, insert(turns, "a", 10ms, begun));
      } catch (const timed_out&) {
      }
    };
    co_await with_task_group([&](task_group& group) -> task<> {
      group.start(insert(turns, "a", 10ms, begun));
      group.start(impatient());
      group.start(insert(turns, "a", 10ms, begun));
      co_return;
    });
    for (duration& at : begun) at -= start;
    EXPECT_EQ(begun, (std::vector<duration>{0ms, 10ms}));
  }());
}

}  // namespace
}  // namespace penstock::db
