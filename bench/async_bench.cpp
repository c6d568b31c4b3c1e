// What tasks cost, and what Boost.Asio's awaitable<> costs for the same, in one run.
//
//   build/release/bin/penstock_async_bench --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true
//
// The machine's noise only ever adds: take the minimum of the repetitions. `allocs` are per operation.

#include "allocation_counter.h"
#include <penstock/async/channel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/semaphore.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/net/event_loop.h>

#include <algorithm>
#include <vector>

#include <benchmark/benchmark.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace {

using namespace penstock;
namespace asio = boost::asio;
using benchmark::State;

class allocation_meter {
 public:
  void report(State& state, std::uint64_t operations_each = 1) const {
    auto operations = static_cast<double>(state.iterations()) * static_cast<double>(operations_each);
    state.counters["allocs"] = static_cast<double>(allocations.load() - before_) / operations;
    state.SetItemsProcessed(static_cast<std::int64_t>(operations));
  }

 private:
  std::uint64_t before_ = allocations.load();
};

template <class Body>
void in_event_loop(State& state, Body body) {
  net::run(body(state));
}

template <class Body>
void in_io_context(State& state, Body body) {
  asio::io_context context(1);
  asio::co_spawn(context, body(state), asio::detached);
  context.run();
}

task<int> one() { co_return 1; }
asio::awaitable<int> asio_one() { co_return 1; }

task<> await_child(State& state) {
  allocation_meter meter;
  for (auto _ : state) benchmark::DoNotOptimize(co_await one());
  meter.report(state);
}

asio::awaitable<void> asio_await_child(State& state) {
  allocation_meter meter;
  for (auto _ : state) benchmark::DoNotOptimize(co_await asio_one());
  meter.report(state);
}

task<int> nested(int depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await nested(depth - 1);
}

asio::awaitable<int> asio_nested(int depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await asio_nested(depth - 1);
}

task<> await_nested(State& state) {
  allocation_meter meter;
  for (auto _ : state) benchmark::DoNotOptimize(co_await nested(10));
  meter.report(state);
}

asio::awaitable<void> asio_await_nested(State& state) {
  allocation_meter meter;
  for (auto _ : state) benchmark::DoNotOptimize(co_await asio_nested(10));
  meter.report(state);
}

// A member of a group, or a coroutine of its own: started through the ready queue and waited for.
task<> count_down(int& left, event& done) {
  if (--left == 0) done.set();
  co_return;
}

task<> spawn(State& state) {
  task_group group;
  event done;
  allocation_meter meter;
  for (auto _ : state) {
    int left = 1;
    done.clear();
    group.start(count_down(left, done));
    co_await done.wait();
  }
  meter.report(state);
  task<> joined = group.join();
  co_await std::move(joined);
}

asio::awaitable<void> asio_spawn(State& state) {
  auto executor = co_await asio::this_coro::executor;
  allocation_meter meter;
  for (auto _ : state) co_await asio::co_spawn(executor, asio_one(), asio::use_awaitable);
  meter.report(state);
}

constexpr int gathered = 100'000;

task<> gather_many(State& state) {
  allocation_meter meter;
  for (auto _ : state) {
    std::vector<task<int>> tasks;
    tasks.reserve(gathered);
    for (int i = 0; i < gathered; ++i) tasks.push_back(one());
    task<std::vector<int>> all = gather(std::move(tasks));
    std::vector<int> results = co_await std::move(all);
    benchmark::DoNotOptimize(results.data());
  }
  meter.report(state, gathered);
}

asio::awaitable<void> asio_store(int& result, int& left, asio::steady_timer& done) {
  result = 1;
  if (--left == 0) done.cancel();
  co_return;
}

// Asio has no gather of this size; this is the shape its users write.
asio::awaitable<void> asio_gather_many(State& state) {
  auto executor = co_await asio::this_coro::executor;
  allocation_meter meter;
  for (auto _ : state) {
    std::vector<int> results(gathered);
    int left = gathered;
    asio::steady_timer done(executor, asio::steady_timer::time_point::max());
    for (int& result : results) asio::co_spawn(executor, asio_store(result, left, done), asio::detached);
    boost::system::error_code ignored;
    // Asio runs what it spawns at once where it can.
    if (left > 0) co_await done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    benchmark::DoNotOptimize(results.data());
  }
  meter.report(state, gathered);
}

task<> receive_all(channel<int>& values) {
  while (std::optional<int> value = co_await values.receive()) benchmark::DoNotOptimize(*value);
}

task<> hand_over(State& state, std::size_t capacity) {
  channel<int> values(capacity);
  task_group group;
  group.start(receive_all(values));
  co_await yield();
  allocation_meter meter;
  for (auto _ : state) co_await values.send(1);
  meter.report(state);
  values.close();
  task<> joined = group.join();
  co_await std::move(joined);
}

using asio_channel = asio::experimental::channel<void(boost::system::error_code, int)>;

asio::awaitable<void> asio_receive_all(asio_channel& values) {
  boost::system::error_code closed;
  while (!closed) {
    int value = co_await values.async_receive(asio::redirect_error(asio::use_awaitable, closed));
    benchmark::DoNotOptimize(value);
  }
}

asio::awaitable<void> asio_hand_over(State& state, std::size_t capacity) {
  auto executor = co_await asio::this_coro::executor;
  asio_channel values(executor, capacity);
  allocation_meter meter;
  asio::co_spawn(executor, asio_receive_all(values), asio::detached);
  for (auto _ : state) co_await values.async_send({}, 1, asio::use_awaitable);
  meter.report(state);
  values.close();
  co_await asio::post(executor, asio::use_awaitable);
  co_await asio::post(executor, asio::use_awaitable);
}

task<> take_permit(State& state) {
  semaphore two(2);
  allocation_meter meter;
  for (auto _ : state) auto permit = co_await two.acquire();
  meter.report(state);
}

task<> take_turns(semaphore& one, bool& stop) {
  while (!stop) {
    auto permit = co_await one.acquire();
    co_await yield();
  }
}

// Each acquire waits for the other task's release.
task<> contend_for_permit(State& state) {
  semaphore one(1);
  bool stop = false;
  task_group group;
  group.start(take_turns(one, stop));
  co_await yield();
  allocation_meter meter;
  for (auto _ : state) {
    auto permit = co_await one.acquire();
    co_await yield();
  }
  meter.report(state);
  stop = true;
  task<> joined = group.join();
  co_await std::move(joined);
}

task<> yield_once(State& state) {
  allocation_meter meter;
  for (auto _ : state) co_await yield();
  meter.report(state);
}

asio::awaitable<void> asio_yield_once(State& state) {
  auto executor = co_await asio::this_coro::executor;
  allocation_meter meter;
  for (auto _ : state) co_await asio::post(executor, asio::use_awaitable);
  meter.report(state);
}

// A timer among 10,000 others, which is due at once.
task<> sleep_once(State& state) {
  struct silent_timer : timer {
    silent_timer() : timer([](timer&) noexcept {}) {}
  };
  std::vector<silent_timer> others(static_cast<std::size_t>(state.range(0)));
  scheduler& clock = scheduler::current();
  for (silent_timer& t : others) clock.add_timer(t, clock.now() + std::chrono::hours(1));
  allocation_meter meter;
  for (auto _ : state) co_await sleep_for(duration::zero());
  meter.report(state);
}

asio::awaitable<void> asio_sleep_once(State& state) {
  auto executor = co_await asio::this_coro::executor;
  std::vector<asio::steady_timer> others;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    others.emplace_back(executor, std::chrono::hours(1));
    others.back().async_wait([](boost::system::error_code) {});
  }
  asio::steady_timer timer(executor);
  allocation_meter meter;
  for (auto _ : state) {
    timer.expires_after(std::chrono::seconds(0));
    co_await timer.async_wait(asio::use_awaitable);
  }
  meter.report(state);
  others.clear();
}

}  // namespace

#define PENSTOCK(name, body) BENCHMARK_CAPTURE(in_event_loop, name, body)
#define ASIO(name, body) BENCHMARK_CAPTURE(in_io_context, name, body)

PENSTOCK(await_child, await_child);
ASIO(await_child, asio_await_child);
PENSTOCK(await_nested_10, await_nested);
ASIO(await_nested_10, asio_await_nested);
PENSTOCK(spawn, spawn);
ASIO(spawn, asio_spawn);
PENSTOCK(gather_100000, gather_many)->Unit(benchmark::kMillisecond);
ASIO(gather_100000, asio_gather_many)->Unit(benchmark::kMillisecond);
PENSTOCK(channel_hand_over, [](State& s) { return hand_over(s, 0); });
ASIO(channel_hand_over, [](State& s) { return asio_hand_over(s, 0); });
PENSTOCK(channel_of_64, [](State& s) { return hand_over(s, 64); });
ASIO(channel_of_64, [](State& s) { return asio_hand_over(s, 64); });
PENSTOCK(semaphore, take_permit);
PENSTOCK(semaphore_contended, contend_for_permit);
PENSTOCK(yield, yield_once);
ASIO(yield, asio_yield_once);
PENSTOCK(sleep, sleep_once)->Arg(0)->Arg(10'000);
ASIO(sleep, asio_sleep_once)->Arg(0)->Arg(10'000);

BENCHMARK_MAIN();
