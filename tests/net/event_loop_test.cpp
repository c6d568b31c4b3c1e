#include <penstock/async/cancel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/on_worker.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/net/error.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/net/signals.h>
#include <penstock/testing/simulation.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <deque>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace penstock::net {
namespace {

using namespace std::chrono_literals;

TEST(event_loop, gives_the_result_of_its_task_and_throws_its_failure) {
  auto seven = []() -> task<int> { co_return 7; };
  auto fails = []() -> task<> {
    co_await yield();
    throw std::out_of_range("no");
  };
  EXPECT_EQ(run(seven()), 7);
  EXPECT_THROW(run(fails()), std::out_of_range);
}

TEST(event_loop, runs_one_task_after_another) {
  event_loop loop;
  auto one = []() -> task<int> {
    co_await sleep_for(1ms);
    co_return 1;
  };
  EXPECT_EQ(loop.run(one()) + loop.run(one()), 2);
}

TEST(event_loop, fires_timers_in_the_order_of_their_deadlines_and_then_of_arming) {
  std::vector<int> order;
  auto note = [&](duration d, int n) -> task<> {
    co_await sleep_for(d);
    order.push_back(n);
  };
  auto body = [&]() -> task<> { co_await gather(note(9ms, 4), note(3ms, 1), note(6ms, 2), note(6ms, 3)); };
  run(body());
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4}));
}

TEST(event_loop, never_wakes_a_sleeper_early) {
  auto body = []() -> task<> {
    for (duration d : {duration(0), duration(1us), duration(300us), duration(1500us), duration(5ms)}) {
      time_point before = scheduler::current().now();
      co_await sleep_for(d);
      EXPECT_GE(scheduler::current().now() - before, d);
    }
  };
  run(body());
}

TEST(event_loop, waits_for_sockets_while_a_task_sleeps_for_ever_or_for_no_time_at_all) {
  // No timer may help a loop that waits wrongly, so the system's ends this program instead.
  ::alarm(20);
  for (duration d : {duration::max(), duration::min()}) {
    auto body = [&]() -> task<> {
      auto at = listen(endpoint::parse("127.0.0.1:0"));
      auto client = co_await connect(at->local_endpoint());
      auto server = co_await at->accept();
      auto sleep = [&]() -> task<> { co_await sleep_for(d); };
      auto sleep_till_then = [&]() -> task<> { co_await sleep_until(time_point(d)); };
      std::byte one[1];
      auto read = [&]() -> task<> { EXPECT_EQ(co_await client->read_some(one), 1u); };
      auto write = [&]() -> task<> { co_await server->write(bytes_of("x")); };
      task_group sleepers;
      sleepers.start(sleep());
      sleepers.start(sleep_till_then());
      co_await gather(read(), write());
    };
    run(body());
  }
  ::alarm(0);
}

TEST(event_loop, looks_at_sockets_though_tasks_and_timers_are_always_due) {
  auto spin = [](bool& stop, bool with_timer) -> task<> {
    while (!stop) {
      if (with_timer)
        co_await sleep_for(0ns);
      else
        co_await yield();
    }
  };
  auto body = [&]() -> task<> {
    for (bool with_timer : {false, true}) {
      bool stop = false;
      auto at = listen(endpoint::parse("127.0.0.1:0"));
      auto client = [&]() -> task<> {
        auto s = co_await connect(at->local_endpoint());
        std::byte one[1];
        co_await s->read_some(one);
        stop = true;
      };
      auto server = [&]() -> task<> {
        auto s = co_await at->accept();
        co_await s->write(bytes_of("x"));
      };
      co_await gather(client(), server(), spin(stop, with_timer));
    }
  };
  run(body());
}

struct counting_item : work_item {
  explicit counting_item(int& n, event& e) : work_item(&count), seen(n), changed(e) {}
  static void count(work_item& w) noexcept {
    auto& self = static_cast<counting_item&>(w);
    ++self.seen;
    self.changed.set();
  }
  int& seen;
  event& changed;
};

TEST(event_loop, that_was_held_up_takes_what_has_come_before_it_says_that_a_limit_has_passed) {
  auto body = []() -> task<> {
    constexpr std::size_t many = 200;  // more than what runs in one turn
    auto at = listen(endpoint::parse("127.0.0.1:0"));
    std::size_t in_time = 0;
    auto read = [&](stream& from) -> task<> {
      std::byte one[1];
      auto reading = with_timeout(1s, from.read_some(one));
      in_time += co_await std::move(reading);
    };
    std::vector<std::unique_ptr<stream>> clients, servers;
    for (std::size_t i = 0; i < many; ++i) {
      clients.push_back(co_await connect(at->local_endpoint()));
      servers.push_back(co_await at->accept());
    }
    task_group readers;
    for (auto& client : clients) readers.start(read(*client));
    co_await yield();
    for (auto& server : servers) co_await server->write(bytes_of("x"));
    auto until = std::chrono::steady_clock::now() + 1200ms;
    while (std::chrono::steady_clock::now() < until) continue;  // as if the process was stopped
    co_await readers.join();
    EXPECT_EQ(in_time, many);
  };
  run(body());
}

TEST(event_loop, takes_posts_from_many_threads_each_exactly_once) {
  constexpr int threads = 4, each = 500;
  auto body = []() -> task<> {
    scheduler& loop = scheduler::current();
    int seen = 0;
    event changed;
    std::deque<counting_item> items;
    for (int i = 0; i < threads * each; ++i) items.emplace_back(seen, changed);
    std::vector<std::thread> posters;
    for (int t = 0; t < threads; ++t)
      posters.emplace_back([&, t] {
        for (int i = 0; i < each; ++i) loop.post_from_any_thread(items[static_cast<std::size_t>(t * each + i)]);
      });
    while (seen < threads * each) {
      co_await changed.wait();
      changed.clear();
    }
    for (std::thread& t : posters) t.join();
    EXPECT_EQ(seen, threads * each);
  };
  run(body());
}

TEST(event_loop, loops_on_several_threads_do_not_touch_each_other) {
  std::atomic<int> sum = 0;
  auto body = [&]() -> task<> {
    for (int i = 0; i < 50; ++i) {
      auto n = on_worker([] { return 1; });
      sum += co_await n;
    }
  };
  std::vector<std::thread> loops;
  for (int i = 0; i < 3; ++i) loops.emplace_back([&] { run(body()); });
  for (std::thread& t : loops) t.join();
  EXPECT_EQ(sum, 150);
}

TEST(event_loop, is_destroyed_cleanly_with_tasks_that_still_wait) {
  event_loop loop;
  auto waits_for_ever = [](std::unique_ptr<listener> at) -> task<> { co_await at->accept(); };
  auto body = [&]() -> task<> {
    task_group abandoned;
    for (int i = 0; i < 3; ++i) abandoned.start(waits_for_ever(listen(endpoint::parse("127.0.0.1:0"))));
    abandoned.start([]() -> task<> { co_await sleep_for(1h); }());
    co_await yield();
  };
  loop.run(body());
}

TEST(event_loop, without_descriptors_neither_a_loop_nor_a_signal_set_starts_and_both_say_why) {
  event_loop loop;
  auto body = []() -> task<> {
    std::vector<int> all;
    rlimit before{};
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit few{std::min<rlim_t>(before.rlim_cur, 64), before.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int one; (one = ::open("/dev/null", O_RDONLY)) >= 0;) all.push_back(one);
    try {
      event_loop another;
      ADD_FAILURE() << "a loop without descriptors";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(net_errc::io_failed)) << e.what();
      EXPECT_NE(e.message().find("Too many open files"), std::string::npos) << e.what();
    }
    EXPECT_THROW(signal_set{SIGUSR1}, error);
    for (int one : all) ::close(one);
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    co_return;
  };
  loop.run(body());
}

TEST(event_loop, says_so_when_the_task_is_on_another_scheduler) {
  penstock::testing::simulation sim;
  auto body = []() -> task<> {
    EXPECT_THROW(event_loop::current(), error);
    co_return;
  };
  sim.run(body());
}

}  // namespace
}  // namespace penstock::net
