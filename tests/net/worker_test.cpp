#include <penstock/async/cancel.h>
#include <penstock/async/gather.h>
#include <penstock/async/on_worker.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/net/event_loop.h>

#include <atomic>
#include <future>
#include <set>
#include <thread>

#include <gtest/gtest.h>

namespace penstock::net {
namespace {

using namespace std::chrono_literals;

TEST(worker, runs_off_the_loop_and_brings_the_result_back) {
  auto body = []() -> task<> {
    auto there = on_worker([] { return std::this_thread::get_id(); });
    EXPECT_NE(co_await there, std::this_thread::get_id());
  };
  run(body());
}

TEST(worker, brings_an_exception_back) {
  auto body = []() -> task<> {
    auto there = on_worker([]() -> int { throw std::domain_error("down there"); });
    co_await there;
  };
  EXPECT_THROW(run(body()), std::domain_error);
}

TEST(worker, never_uses_more_threads_than_allowed) {
  std::atomic<int> inside = 0, most = 0;
  auto work = [&] {
    int now = ++inside;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::yield();
    --inside;
  };
  auto body = [&]() -> task<> {
    auto one = [&]() -> task<> {
      auto there = on_worker(work);
      co_await there;
    };
    std::vector<task<>> all;
    for (int i = 0; i < 200; ++i) all.push_back(one());
    auto together = gather(std::move(all));
    co_await std::move(together);
  };
  run(body(), {.worker_threads = 2});
  EXPECT_LE(most, 2);
}

TEST(worker, a_call_that_runs_is_waited_for_though_its_task_is_cancelled) {
  std::promise<void> entered, released;
  bool returned = false;
  auto body = [&]() -> task<> {
    auto call = [&]() -> task<> {
      auto there = on_worker([&] {
        entered.set_value();
        released.get_future().wait();
        returned = true;
      });
      co_await there;
      co_await yield();
    };
    auto cancel_it = [&](cancel_scope& scope) -> task<> {
      entered.get_future().wait();
      scope.cancel("enough");
      released.set_value();
      co_return;
    };
    cancel_scope scope;
    auto running = scope.run(call());
    auto [call_ended, cancel_ended] = co_await gather_settled(std::move(running), cancel_it(scope));
    EXPECT_TRUE(returned);
    EXPECT_NE(call_ended.error_as<operation_cancelled>(), nullptr);
    EXPECT_TRUE(cancel_ended);
  };
  run(body());
}

TEST(worker, destroying_the_waiting_task_waits_for_the_call) {
  std::atomic<bool> entered = false, returned = false;
  auto body = [&]() -> task<> {
    auto call = [&]() -> task<> {
      auto there = on_worker([&] {
        entered = true;
        for (int i = 0; i < 1000; ++i) std::this_thread::yield();
        returned = true;
      });
      co_await there;
    };
    {
      task_group group;
      group.start(call());
      while (!entered) co_await yield();
    }
    EXPECT_TRUE(returned);
  };
  run(body());
}

}  // namespace
}  // namespace penstock::net
