#include "failing_case.h"
#include <penstock/async/event.h>
#include <penstock/async/semaphore.h>
#include <penstock/async/yield.h>
#include <penstock/testing/enumeration.h>
#include <penstock/testing/failure_point.h>
#include <penstock/testing/ledger.h>

#include <memory>
#include <string>
#include <vector>

namespace penstock::testing {
namespace {

task<void> step(const char* name) {
  co_await yield();
  if (should_fail(name)) throw error(async_errc::no_tasks, std::string(name) + " failed");
}

TEST(for_each_failure, fails_each_operation_once_and_at_last_none) {
  std::vector<std::string> runs;
  auto scenario = [&]() -> task<> {
    runs.emplace_back();
    for (const char* name : {"connect", "write", "read"}) {
      co_await step(name);
      runs.back() += std::string(name) + " ";
    }
  };
  EXPECT_EQ(for_each_failure(scenario), 3u);
  EXPECT_EQ(runs, (std::vector<std::string>{"", "connect ", "connect write ", "connect write read "}));
}

TEST(for_each_failure, names_the_operation_whose_failure_leaves_something_open) {
  std::unique_ptr<ledger_entry> left;
  auto scenario = [&]() -> task<> {
    left = std::make_unique<ledger_entry>("connection", "db");
    co_await step("connect");
    std::unique_ptr<ledger_entry> mine = std::move(left);
    co_await step("write");
  };
  std::string text = failures_of([&] { for_each_failure(scenario); });
  EXPECT_TRUE(contains(text, "left open at the end of the test:\n  connection 'db' made at "));
  EXPECT_TRUE(contains(text, "the failure above: operation 1, 'connect', had failed"));
}

TEST(for_each_failure, a_scenario_that_fails_by_itself_is_a_failure) {
  std::string text = failures_of([] {
    for_each_failure([]() -> task<> {
      co_await yield();
      throw error(async_errc::no_tasks, "always");
    });
  });
  EXPECT_TRUE(contains(text, "none of the 0 operations had failed"));
}

TEST(for_each_failure, a_failure_that_blocks_the_scenario_for_ever_is_named) {
  std::string text = failures_of([] {
    for_each_failure([]() -> task<> {
      event done;
      if (!should_fail("notify")) done.set();
      co_await done.wait();
    });
  });
  EXPECT_TRUE(contains(text, "deadlock"));
  EXPECT_TRUE(contains(text, "operation 1, 'notify', had failed"));
}

TEST(assert_cancel_safe, cancels_at_each_suspension_both_while_it_waits_and_when_it_is_woken) {
  std::vector<int> reached;
  auto scenario = [&]() -> task<> {
    reached.push_back(0);
    for (int i = 1; i <= 2; ++i) {
      co_await sleep_for(1s);
      reached.back() = i;
    }
  };
  EXPECT_EQ(assert_cancel_safe(scenario), 4u);
  EXPECT_EQ(reached, (std::vector<int>{0, 1, 1, 2, 2}));
}

// Takes the permit with a flag of its own, and loses it when it is cancelled in between.
class careless_lock {
 public:
  task<void> lock() {
    while (taken_) co_await free_.wait();
    taken_ = true;
    free_.clear();
    co_await yield();
  }
  void unlock() {
    taken_ = false;
    free_.set();
  }
  bool taken() const { return taken_; }

 private:
  bool taken_ = false;
  event free_;
};

TEST(assert_cancel_safe, finds_a_lock_that_a_cancel_leaves_taken_and_says_where) {
  bool taken = false;
  auto scenario = [&]() -> task<> {
    careless_lock lock;
    auto use = [&]() -> task<> {
      task<void> locking = lock.lock();
      co_await std::move(locking);
      lock.unlock();
    };
    std::exception_ptr failure;
    task<void> using_it = use();
    try {
      co_await std::move(using_it);
    } catch (...) {
      failure = std::current_exception();
    }
    taken = lock.taken();
    if (taken) throw error(async_errc::no_tasks, "the lock is still taken");
    if (failure) std::rethrow_exception(failure);
  };
  std::string text = failures_of([&] { assert_cancel_safe(scenario); });
  EXPECT_TRUE(contains(text, "the lock is still taken"));
  EXPECT_TRUE(contains(text,
                       "the failure above: the scenario was cancelled at point 1, by a task when it had begun to "
                       "wait for an operation\n      at "));
}

TEST(assert_cancel_safe, runs_what_stands_around_the_cancelled_operation_to_its_end) {
  int checked = 0;
  std::size_t points = assert_cancel_safe([&](cancellation& c) -> task<> {
    semaphore one(1);
    auto works = [&]() -> task<> {
      auto permit = co_await one.acquire();
      co_await sleep_for(1s);
    };
    task<bool> working = c.run(works());
    bool ended_well = co_await std::move(working);
    EXPECT_TRUE(ended_well || !c.place().empty());  // a sleep that is over when the cancel comes has ended well
    EXPECT_EQ(one.available(), 1u);
    ++checked;
  });
  EXPECT_EQ(points, 2u);
  EXPECT_EQ(checked, 3);
}

}  // namespace
}  // namespace penstock::testing
