#include <penstock/async/cancel.h>
#include <penstock/async/channel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/map_bounded.h>
#include <penstock/async/mutex.h>
#include <penstock/async/on_worker.h>
#include <penstock/async/race.h>
#include <penstock/async/run_on.h>
#include <penstock/async/semaphore.h>
#include <penstock/async/task.h>
#include <penstock/async/task_group.h>
#include <penstock/async/task_local.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/core/traceback.h>
#include <penstock/testing/simulation.h>

#include <iostream>
#include <numeric>

#include <gtest/gtest.h>

using namespace penstock;
using namespace std::chrono_literals;

task<int> later(int v, duration d) {
  co_await sleep_for(d);
  co_return v;
}
task<int> boom(duration d) {
  co_await sleep_for(d);
  throw std::runtime_error("boom");
}
task<int> mid() { co_return co_await boom(2s); }

task<> all() {
  auto [a, b] = co_await gather(later(1, 1s), later(2, 2s));
  EXPECT_EQ(a + b, 3);
  try {
    auto g = gather(later(1, 10s), mid());
    co_await std::move(g);
  } catch (...) {
    std::cout << format_traceback(std::current_exception());
  }
  auto [x, y] = co_await gather_settled(later(1, 1s), mid());
  EXPECT_TRUE(x);
  EXPECT_FALSE(y);
  EXPECT_EQ(co_await race(later(1, 5s), later(2, 1s)), 2);
  try {
    co_await with_timeout(1s, later(1, 5s));
  } catch (...) {
    std::cout << format_traceback(std::current_exception());
  }
  channel<int> c(2);
  co_await with_task_group([&](task_group& g) -> task<> {
    auto prod = [&]() -> task<> {
      for (int i = 0; i < 10; ++i) co_await c.send(i);
      c.close();
    };
    g.start(prod());
    int sum = 0;
    while (auto v = co_await c.receive()) sum += *v;
    EXPECT_EQ(sum, 45);
  });
  std::vector<int> in(20);
  std::iota(in.begin(), in.end(), 0);
  auto r = co_await map_bounded(in, 3, [](int i) { return later(i * 2, 1s); });
  EXPECT_EQ(r.size(), 20u);
  EXPECT_EQ(r[19], 38);
  auto s = co_await map_bounded_settled(in, 3, [](int i) { return i % 2 ? boom(1s) : later(i, 1s); });
  EXPECT_TRUE(s[0]);
  EXPECT_FALSE(s[1]);
  EXPECT_EQ(co_await on_worker([] { return 7; }), 7);
  semaphore sem(2);
  { auto p = co_await sem.acquire(2); }
  mutex m;
  { auto g = co_await m.lock(); }
  co_await yield();
}
TEST(smoke, all) {
  penstock::testing::simulation sim;
  sim.run(all());
  EXPECT_GT(sim.elapsed(), 10s);
}
task<> stuck() {
  event e;
  co_await e.wait();
}
TEST(smoke, deadlock) {
  penstock::testing::simulation sim;
  try {
    sim.run(stuck());
    FAIL();
  } catch (error& e) {
    std::cout << e.what();
  }
}
