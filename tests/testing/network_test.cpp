#include "network_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/async/yield.h>

namespace penstock::testing {
namespace {

TEST(network, bytes_arrive_after_the_latency_of_their_connection) {
  over_a_connection({.least_latency = 20ms, .most_latency = 20ms}, [](network&, connected& c) -> task<> {
    time_point start = now();
    co_await write(*c.client, "hello");
    EXPECT_EQ(now(), start);
    std::string got = co_await read_some(*c.server);
    EXPECT_EQ(got, "hello");
    EXPECT_EQ(now() - start, 20ms);
  });
}

TEST(network, a_narrow_line_takes_its_time) {
  network_options narrow{.least_latency = 0ms, .most_latency = 0ms, .bytes_per_second = 1'000};
  over_a_connection(narrow, [](network&, connected& c) -> task<> {
    time_point start = now();
    co_await write(*c.client, std::string(500, 'x'));
    co_await read_some(*c.server);
    EXPECT_EQ(now() - start, 500ms);
  });
}

TEST(network, a_writer_waits_until_the_window_has_room) {
  network_options small{.window_bytes = 10};
  over_a_connection(small, [](network&, connected& c) -> task<> {
    bool written = false;
    auto writing = [&]() -> task<> {
      co_await write(*c.client, "0123456789abc");
      written = true;
    };
    task_group group;
    group.start(writing());
    co_await sleep_for(1s);
    EXPECT_FALSE(written);
    std::string first = co_await read_some(*c.server, 3);
    EXPECT_EQ(first, "012");
    co_await group.join();
    EXPECT_TRUE(written);
  });
}

TEST(network, a_writer_that_waits_can_tell_that_its_peer_takes_some) {
  network_options small{.window_bytes = 10};
  over_a_connection(small, [](network&, connected& c) -> task<> {
    task_group group;
    group.start(write(*c.client, std::string(100, 'x')));
    co_await sleep_for(1s);
    EXPECT_FALSE(c.client->peer_took_some());
    co_await read_some(*c.server, 3);
    co_await sleep_for(1s);
    EXPECT_TRUE(c.client->peer_took_some());
    EXPECT_FALSE(c.client->peer_took_some());
    std::string rest = co_await read_some(*c.server, 97);
    while (rest.size() < 97) rest += co_await read_some(*c.server, 97);
    co_await group.join();
  });
}

TEST(network, the_end_of_the_stream_comes_after_its_bytes) {
  over_a_connection({}, [](network&, connected& c) -> task<> {
    co_await write(*c.client, "last words");
    c.client->shutdown_send();
    std::string all = co_await read_all(*c.server);
    EXPECT_EQ(all, "last words");
  });
}

TEST(network, nothing_can_be_written_after_the_end) {
  over_a_connection({}, [](network&, connected& c) -> task<> {
    co_await write(*c.client, "last words");
    c.client->shutdown_send();
    std::string code = co_await code_of(write(*c.client, "and one more"));
    EXPECT_EQ(code, "net.connection_closed");
    std::string all = co_await read_all(*c.server);
    EXPECT_EQ(all, "last words");
    co_await write(*c.server, "heard");
    std::string answer = co_await read_some(*c.client);
    EXPECT_EQ(answer, "heard");
  });
}

TEST(network, a_write_that_waits_for_room_fails_at_the_end) {
  network_options small{.window_bytes = 10};
  over_a_connection(small, [](network&, connected& c) -> task<> {
    std::string code;
    auto writing = [&]() -> task<> { code = co_await code_of(write(*c.client, "0123456789abc")); };
    task_group group;
    group.start(writing());
    co_await sleep_for(1s);
    c.client->shutdown_send();
    std::string all = co_await read_all(*c.server);
    EXPECT_EQ(all, "0123456789");
    co_await group.join();
    EXPECT_EQ(code, "net.connection_closed");
  });
}

TEST(network, closing_with_unread_bytes_resets_the_peer) {
  over_a_connection({}, [](network&, connected& c) -> task<> {
    co_await write(*c.client, "never read");
    co_await sleep_for(1s);
    c.server->close();
    std::string code = co_await code_of(read_some(*c.client));
    EXPECT_EQ(code, "net.connection_closed");
  });
}

TEST(network, writing_to_a_peer_that_has_closed_is_answered_by_a_reset) {
  over_a_connection({}, [](network&, connected& c) -> task<> {
    c.server->close();
    co_await sleep_for(1s);
    co_await write(*c.client, "anybody there?");
    co_await sleep_for(1s);
    std::string code = co_await code_of(write(*c.client, "hello?"));
    EXPECT_EQ(code, "net.connection_closed");
  });
}

TEST(network, connecting_where_nobody_listens_is_refused) {
  simulation sim;
  network n;
  auto main = [&]() -> task<> {
    n.listen("b", 80)->close();
    std::string refused = co_await code_of(n.connect("a", net::endpoint::tcp("b", 80)));
    EXPECT_EQ(refused, "net.connect_failed");
    std::string unknown = co_await code_of(n.connect("a", net::endpoint::tcp("c", 80)));
    EXPECT_EQ(unknown, "net.resolve_failed");
  };
  sim.run(main());
}

TEST(network, a_port_is_listened_on_once) {
  simulation sim;
  network n;
  auto main = [&]() -> task<> {
    std::unique_ptr<net::listener> first = n.listen("b", 80);
    EXPECT_THROW(n.listen("b", 80), error);
    std::unique_ptr<net::listener> other = n.listen("b", 0);
    EXPECT_NE(other->local_endpoint().port(), 0);
    co_return;
  };
  sim.run(main());
}

TEST(network, a_full_backlog_makes_connects_wait) {
  simulation sim;
  network n({.backlog = 1});
  auto main = [&]() -> task<> {
    std::unique_ptr<net::listener> at = n.listen("b", 80);
    std::unique_ptr<net::stream> first = co_await n.connect("a", at->local_endpoint());
    std::string code = co_await code_of(n.connect("a", at->local_endpoint(), {.timeout = 5s}));
    EXPECT_EQ(code, "async.timed_out");
  };
  sim.run(main());
}

TEST(network, bytes_of_two_connections_overtake_one_another) {
  int overtaken = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    simulation sim({.seed = seed});
    network n({.least_latency = 1ms, .most_latency = 50ms});
    auto main = [&]() -> task<> {
      std::unique_ptr<net::listener> at = n.listen("b", 80);
      connected first = co_await connect_a_to_b(n, *at);
      connected second = co_await connect_a_to_b(n, *at);
      time_point arrived_first{}, arrived_second{};
      auto note = [](net::stream& s, time_point& when) -> task<> {
        co_await read_some(s);
        when = now();
      };
      co_await write(*first.client, "1");
      co_await write(*second.client, "2");
      co_await gather(note(*first.server, arrived_first), note(*second.server, arrived_second));
      overtaken += arrived_second < arrived_first ? 1 : 0;
    };
    sim.run(main());
  }
  EXPECT_GT(overtaken, 2);
  EXPECT_LT(overtaken, 18);
}

TEST(network, two_reads_at_a_time_on_one_stream_are_an_error) {
  over_a_connection({}, [](network&, connected& c) -> task<> {
    task_group group;
    auto reading = [&]() -> task<> { co_await read_some(*c.server); };
    group.start(reading());
    co_await yield();
    std::string code = co_await code_of(read_some(*c.server));
    EXPECT_EQ(code, "net.io_failed");
    co_await write(*c.client, "x");
    co_await group.join();
  });
}

TEST(network, a_cancelled_read_takes_no_byte) {
  over_a_connection({}, [](network&, connected& c) -> task<> {
    std::string code = co_await code_of(with_timeout(1s, read_some(*c.server)));
    EXPECT_EQ(code, "async.timed_out");
    co_await write(*c.client, "all of it");
    std::string got = co_await read_some(*c.server);
    EXPECT_EQ(got, "all of it");
  });
}

TEST(network, what_is_open_stands_in_the_ledger_with_who_made_it) {
  simulation sim;
  network n;
  auto main = [&]() -> task<> {
    std::unique_ptr<net::listener> at = n.listen("b", 80);
    connected both = co_await connect_a_to_b(n, *at);
    std::string open = describe(sim.open_things().open());
    EXPECT_NE(open.find("listener 'b:80' made at " __FILE__), std::string::npos) << open;
    EXPECT_NE(open.find("connection 'a:40000 to b:80' made at "), std::string::npos) << open;
    EXPECT_EQ(n.open_ends(), 2u);
  };
  sim.run(main());
  EXPECT_EQ(describe(sim.open_things().open()), "");
}

}  // namespace
}  // namespace penstock::testing
