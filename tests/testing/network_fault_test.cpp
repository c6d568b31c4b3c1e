#include "network_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/testing/failure_point.h>

namespace penstock::testing {
namespace {

TEST(network_faults, a_partition_holds_bytes_back_until_it_heals) {
  over_a_connection({}, [](network& n, connected& c) -> task<> {
    n.partition("a", "b");
    co_await write(*c.client, "late");
    std::string code = co_await code_of(with_timeout(10s, read_some(*c.server)));
    EXPECT_EQ(code, "async.timed_out");
    n.heal();
    std::string got = co_await read_some(*c.server);
    EXPECT_EQ(got, "late");
  });
}

TEST(network_faults, a_one_way_partition_lets_the_other_direction_through) {
  over_a_connection({}, [](network& n, connected& c) -> task<> {
    n.partition_one_way("a", "b");
    co_await write(*c.server, "you hear me");
    std::string got = co_await read_some(*c.client);
    EXPECT_EQ(got, "you hear me");
    co_await write(*c.client, "I do");
    std::string code = co_await code_of(with_timeout(10s, read_some(*c.server)));
    EXPECT_EQ(code, "async.timed_out");
    n.heal();
  });
}

TEST(network_faults, what_is_not_acknowledged_breaks_the_connection_in_the_end) {
  over_a_connection({.give_up = 20s}, [](network& n, connected& c) -> task<> {
    n.partition_one_way("b", "a");
    time_point start = now();
    co_await write(*c.client, "heard, but not acknowledged");
    std::string got = co_await read_some(*c.server);
    EXPECT_EQ(got, "heard, but not acknowledged");
    std::string code = co_await code_of(read_some(*c.client));
    EXPECT_EQ(code, "net.connection_closed");
    EXPECT_GE(now() - start, 20s);
    EXPECT_LT(now() - start, 21s);
  });
}

TEST(network_faults, a_stream_may_end_by_a_reset) {
  over_a_connection({}, [](network&, connected& c) -> task<> {
    c.client->reset();
    std::string code = co_await code_of(read_some(*c.server));
    EXPECT_EQ(code, "net.connection_closed");
    std::string mine = co_await code_of(read_some(*c.client));
    EXPECT_EQ(mine, "net.connection_closed");
    c.client->reset();  // and closing again changes nothing
    c.client->close();
  });
}

TEST(network_faults, the_peer_of_a_host_that_is_cut_off_waits_without_being_told) {
  over_a_connection({}, [](network& n, connected& c) -> task<> {
    n.isolate("a");
    c.client->close();
    std::string code = co_await code_of(with_timeout(1h, read_some(*c.server)));
    EXPECT_EQ(code, "async.timed_out");
  });
}

TEST(network_faults, connecting_over_a_cut_path_times_out) {
  simulation sim;
  network n;
  auto main = [&]() -> task<> {
    std::unique_ptr<net::listener> at = n.listen("b", 80);
    n.partition_one_way("b", "a");
    time_point start = now();
    std::string code = co_await code_of(n.connect("a", at->local_endpoint(), {.timeout = 3s}));
    EXPECT_EQ(code, "async.timed_out");
    EXPECT_EQ(now() - start, 3s);
    n.heal();
    std::unique_ptr<net::stream> s = co_await n.connect("a", at->local_endpoint());
    EXPECT_NE(s, nullptr);
  };
  sim.run(main());
}

TEST(network_faults, a_reset_ends_both_ends) {
  over_a_connection({}, [](network& n, connected& c) -> task<> {
    n.reset("b", "a");
    std::string client = co_await code_of(read_some(*c.client));
    std::string server = co_await code_of(write(*c.server, "x"));
    EXPECT_EQ(client, "net.connection_closed");
    EXPECT_EQ(server, "net.connection_closed");
  });
}

TEST(network_faults, slicing_cuts_bytes_up_down_to_single_ones_and_loses_none) {
  over_a_connection({}, [](network& n, connected& c) -> task<> {
    n.set_faults({.slice = 1.0});
    std::string text(2'000, 'x');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 26);
    std::string got;
    std::size_t shortest = text.size(), longest = 0;
    auto reading = [&]() -> task<> {
      while (got.size() < text.size()) {
        std::string some = co_await read_some(*c.server);
        shortest = std::min(shortest, some.size());
        longest = std::max(longest, some.size());
        got += some;
      }
    };
    co_await gather(write(*c.client, text), reading());
    EXPECT_EQ(got, text);
    EXPECT_EQ(shortest, 1u);
    EXPECT_LE(longest, 16u);
  });
}

// What happens to a few connections that talk for a while, as text.
std::string chatter(std::uint64_t seed, const network_faults& faults, std::vector<std::string> off = {}) {
  simulation sim({.seed = seed, .faults_off = std::move(off)});
  network n;
  std::string log;
  auto talk = [&](const net::listener& at, int who) -> task<> {
    for (int i = 0; i < 20; ++i) {
      try {
        std::unique_ptr<net::stream> s = co_await n.connect("a", at.local_endpoint());
        co_await write(*s, "hello " + std::to_string(who));
        std::string heard = co_await with_timeout(2s, read_some(*s));
        log += std::to_string(who) + " heard " + heard;
      } catch (const error& e) {
        log += std::to_string(who) + " " + std::string(e.code());
      }
      log += " at " + std::to_string(sim.elapsed().count()) + "\n";
      co_await sleep_for(100ms);
    }
  };
  auto main = [&]() -> task<> {
    std::unique_ptr<net::listener> at = n.listen("b", 80);
    n.set_faults(faults);
    co_await with_task_group([&](task_group& group) -> task<> {
      auto answer = [](std::unique_ptr<net::stream> s) -> task<> {
        try {
          std::string heard = co_await with_timeout(5s, read_some(*s));
          co_await write(*s, heard);
        } catch (const error&) {
        }
      };
      auto serve = [&]() -> task<> {
        for (;;) {
          std::unique_ptr<net::stream> s = co_await at->accept();
          group.start_background(answer(std::move(s)));
        }
      };
      group.start_background(serve());
      for (int who = 0; who < 3; ++who) group.start(talk(*at, who));
      co_return;
    });
  };
  sim.run(main());
  return log;
}

constexpr network_faults many{.refuse = 0.1,
                              .reset = 0.1,
                              .silence = 0.1,
                              .slice = 0.5,
                              .jitter = 5ms,
                              .partition_every = 2s,
                              .partition_for = 1s};

TEST(network_faults, a_seed_gives_the_same_run_again_and_another_one_another) {
  EXPECT_EQ(chatter(7, many), chatter(7, many));
  EXPECT_NE(chatter(7, many), chatter(8, many));
}

TEST(network_faults, every_kind_shows_and_a_healed_network_has_none) {
  std::string all;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) all += chatter(seed, many);
  EXPECT_NE(all.find("net.connect_failed"), std::string::npos);
  EXPECT_NE(all.find("net.connection_closed"), std::string::npos);
  EXPECT_NE(all.find("async.timed_out"), std::string::npos);
  EXPECT_NE(all.find("heard h at"), std::string::npos) << "a slice of one byte";
  EXPECT_EQ(chatter(1, {}).find("net."), std::string::npos);
}

TEST(network_faults, kinds_that_are_switched_off_do_not_happen) {
  std::string quiet = chatter(3, many, {"all"});
  EXPECT_EQ(quiet, chatter(3, {}));
  EXPECT_EQ(chatter(3, many, {"network.refuse"}).find("net.connect_failed"), std::string::npos);
}

TEST(network_faults, a_swarm_leaves_each_kind_out_of_some_runs) {
  int with_reset = 0, with_partition = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    random_stream numbers(seed);
    network_faults f = network_faults::swarm(numbers);
    with_reset += f.reset > 0 ? 1 : 0;
    with_partition += f.partition_every > duration::zero() ? 1 : 0;
  }
  EXPECT_GT(with_reset, 30);
  EXPECT_LT(with_reset, 70);
  EXPECT_GT(with_partition, 30);
  EXPECT_LT(with_partition, 70);
}

TEST(network_faults, netstat_shows_each_connection_and_each_cut_path) {
  over_a_connection({}, [](network& n, connected& c) -> task<> {
    n.partition_one_way("a", "b");
    co_await write(*c.client, "stuck");
    std::string text = n.netstat();
    EXPECT_NE(text.find("listening on b:80\n"), std::string::npos) << text;
    EXPECT_NE(text.find("a:40000 -> b:80  client open, sent 5, under way 1, unread 0, nothing passes  server open"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("cut: a to b\n"), std::string::npos) << text;
    n.heal();
    co_await read_some(*c.server);
  });
}

TEST(network_faults, each_operation_can_be_chosen_to_fail) {
  std::size_t operations = 0;
  for (std::size_t k = 0;; ++k) {
    failure_plan plan(k);
    simulation sim;
    network n;
    auto main = [&]() -> task<> {
      std::unique_ptr<net::listener> at = n.listen("b", 80);
      connected both = co_await connect_a_to_b(n, *at);
      co_await write(*both.client, "x");
      co_await read_some(*both.server);
    };
    std::string code;
    try {
      sim.run(main());
    } catch (const error& e) {
      code = e.code();
    }
    EXPECT_EQ(describe(sim.open_things().open()), "");
    if (!plan.failed()) break;
    ++operations;
    EXPECT_EQ(code, *plan.failed() == "network.connect" ? "net.connect_failed" : "net.connection_closed");
  }
  EXPECT_EQ(operations, 3u);
}

}  // namespace
}  // namespace penstock::testing
