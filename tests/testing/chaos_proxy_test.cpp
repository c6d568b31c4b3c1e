#include "chaos_fixture.h"
#include <penstock/net/event_loop.h>
#include <penstock/testing/error.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

constexpr auto only_new = chaos_proxy::applies_to::new_connections;

TEST(chaos_proxy, passes_everything_on_and_both_ends) {
  with_proxy([](proxied& p) -> task<> {
    auto client = p.connect();
    std::string text(100'000, 'x');
    auto echoed = echo_of(*client, text);
    EXPECT_TRUE(co_await std::move(echoed) == text);
    client->shutdown_send();
    auto rest = read_to_end(*client);
    EXPECT_EQ(co_await std::move(rest), "");
    EXPECT_EQ(p.proxy.counters().bytes_to_server, text.size());
    EXPECT_EQ(p.proxy.counters().bytes_to_client, text.size());
    EXPECT_EQ(p.proxy.counters().cut_connections, 0u);
    co_await let_all_run();
    EXPECT_TRUE(p.proxy.connections().empty());
  });
}

TEST(chaos_proxy, passes_a_reset_on) {
  with_proxy(
      [](proxied& p) -> task<> {
        auto client = p.connect();
        auto accepting = p.server.accept();
        auto server = co_await std::move(accepting);
        server->reset();
        auto rest = read_to_end(*client);
        EXPECT_EQ(co_await std::move(rest), "RESET");
      },
      {}, false);
}

TEST(chaos_proxy, resets_a_client_for_whom_there_is_no_server) {
  with_proxy(
      [](proxied& p) -> task<> {
        p.server.close();
        auto client = p.connect();
        auto rest = read_to_end(*client);
        EXPECT_EQ(co_await std::move(rest), "RESET");
        EXPECT_EQ(p.proxy.counters().failed_connects, 1u);
      },
      {}, false);
}

TEST(chaos_proxy, latency_delays_each_direction_by_itself_and_not_the_flow) {
  duration took = with_proxy([](proxied& p) -> task<> {
    p.proxy.set_toxics(flow::to_server, {.latency = 50ms});
    p.proxy.set_toxics(flow::to_client, {.latency = 20ms});
    auto client = p.connect();
    // Written one after the other, and all on their way together.
    for (int i = 0; i < 10; ++i) {
      auto saying = say(*client, "0123456789");
      co_await std::move(saying);
    }
    auto hearing = read_exactly(*client, 100);
    co_await std::move(hearing);
  });
  EXPECT_EQ(took, 70ms);
}

TEST(chaos_proxy, jitter_makes_delays_differ_and_keeps_the_order) {
  duration took = with_proxy([](proxied& p) -> task<> {
    p.proxy.set_toxics(flow::to_server, {.latency = 10ms, .jitter = 10ms});
    auto client = p.connect();
    std::set<duration> delays;
    for (int i = 0; i < 20; ++i) {
      time_point asked = scheduler::current().now();
      auto echoed = echo_of(*client, std::to_string(i));
      EXPECT_EQ(co_await std::move(echoed), std::to_string(i));
      delays.insert(scheduler::current().now() - asked);
    }
    EXPECT_GE(*delays.begin(), 10ms);
    EXPECT_LE(*delays.rbegin(), 20ms);
    EXPECT_GT(delays.size(), 10u);
  });
  EXPECT_GT(took, 200ms);
}

TEST(chaos_proxy, a_cleared_proxy_lets_go_at_once_of_what_it_held) {
  duration took = with_proxy([](proxied& p) -> task<> {
    p.proxy.set_toxics(flow::to_server, {.latency = 1h});
    auto client = p.connect();
    auto saying = say(*client, "hello");
    co_await std::move(saying);
    co_await sleep_for(1s);
    p.proxy.clear_toxics();
    auto hearing = read_exactly(*client, 5);
    EXPECT_EQ(co_await std::move(hearing), "hello");
  });
  EXPECT_EQ(took, 1s);
}

TEST(chaos_proxy, slices_writes) {
  with_proxy(
      [](proxied& p) -> task<> {
        p.proxy.set_toxics(flow::to_server, {.slice_bytes = 3});
        auto client = p.connect();
        auto saying = say(*client, "0123456789");
        co_await std::move(saying);
        auto accepting = p.server.accept();
        auto server = co_await std::move(accepting);
        auto hearing = read_exactly(*server, 10);
        EXPECT_EQ(co_await std::move(hearing), "0123456789");
        EXPECT_EQ(static_cast<memory_stream&>(*server).incoming().writes, 4u);
      },
      {}, false);
}

TEST(chaos_proxy, bounds_the_bandwidth) {
  duration took = with_proxy([](proxied& p) -> task<> {
    p.proxy.set_toxics(flow::to_client, {.bytes_per_second = 1000});
    auto client = p.connect();
    auto echoed = echo_of(*client, std::string(3000, 'x'));
    co_await std::move(echoed);
  });
  EXPECT_GE(took, 2900ms);
  EXPECT_LE(took, 3000ms);
}

TEST(chaos_proxy, reads_no_more_than_it_may_hold) {
  with_proxy(
      [](proxied& p) -> task<> {
        p.proxy.set_toxics(flow::to_server, {.latency = 1h});
        auto client = p.connect();
        client->outgoing().capacity = 1000;
        auto saying = with_timeout(1min, say(*client, std::string(1'000'000, 'x')));
        EXPECT_THROW(co_await std::move(saying), timed_out);
      },
      {.held_bytes = 10'000});
}

TEST(chaos_proxy, cuts_after_exactly_so_many_bytes_for_each_number_of_them) {
  for (std::uint64_t n = 0; n < 12; ++n)
    with_proxy([n](proxied& p) -> task<> {
      p.proxy.set_toxics(flow::to_client, {.cut_after_bytes = n});
      auto client = p.connect();
      std::string text = "0123456789";
      client->outgoing().bytes += text;
      client->outgoing().notify();
      co_await let_all_run();
      bool is_cut = n <= text.size();
      EXPECT_EQ(p.proxy.counters().cut_connections, is_cut ? 1u : 0u) << n;
      EXPECT_EQ(client->incoming().bytes, text.substr(0, n));
      EXPECT_EQ(client->incoming().ended, is_cut) << n;
    });
}

TEST(chaos_proxy, a_cut_of_what_has_passed_already_is_at_once) {
  with_proxy([](proxied& p) -> task<> {
    auto client = p.connect();
    auto echoed = echo_of(*client, "0123456789");
    co_await std::move(echoed);
    p.proxy.set_toxics(flow::to_server, {.cut_after_bytes = 5, .cut_by_reset = true}, only_new);
    co_await let_all_run();
    EXPECT_EQ(p.proxy.connections().size(), 1u);
    p.proxy.set_toxics(flow::to_server, {.cut_after_bytes = 5, .cut_by_reset = true});
    auto rest = read_to_end(*client);
    EXPECT_EQ(co_await std::move(rest), "RESET");
    co_await let_all_run();
    EXPECT_TRUE(p.proxy.connections().empty());
  });
}

TEST(chaos_proxy, a_stopped_direction_neither_forwards_nor_closes_until_it_goes_on) {
  duration took = with_proxy([](proxied& p) -> task<> {
    auto client = p.connect();
    auto first = echo_of(*client, "first");
    co_await std::move(first);
    p.proxy.set_toxics(flow::to_client, {.stop = true});
    auto saying = say(*client, "second");
    co_await std::move(saying);
    auto hearing = with_timeout(1h, read_exactly(*client, 6));
    EXPECT_THROW(co_await std::move(hearing), timed_out);
    EXPECT_EQ(p.proxy.counters().bytes_to_server, 11u);
    p.proxy.set_toxics(flow::to_client, {});
    auto at_last = read_exactly(*client, 6);
    EXPECT_EQ(co_await std::move(at_last), "second");
  });
  EXPECT_EQ(took, 1h);
}

TEST(chaos_proxy, a_stopped_direction_keeps_an_end_to_itself) {
  with_proxy(
      [](proxied& p) -> task<> {
        p.proxy.set_toxics(flow::to_server, {.stop = true});
        auto client = p.connect();
        client->close();
        auto accepting = p.server.accept();
        auto server = co_await std::move(accepting);
        auto hearing = with_timeout(1min, read_to_end(*server));
        EXPECT_THROW(co_await std::move(hearing), timed_out);
      },
      {}, false);
}

TEST(chaos_proxy, drops_one_direction) {
  with_proxy([](proxied& p) -> task<> {
    p.proxy.set_toxics(flow::to_client, {.drop = true});
    auto client = p.connect();
    auto saying = say(*client, "hello");
    co_await std::move(saying);
    auto hearing = with_timeout(1min, read_exactly(*client, 5));
    EXPECT_THROW(co_await std::move(hearing), timed_out);
    EXPECT_EQ(p.proxy.counters().bytes_to_server, 5u);
    EXPECT_EQ(p.proxy.counters().dropped_bytes, 5u);
  });
}

std::string corrupted_echo(std::uint64_t seed) {
  std::string echoed;
  with_proxy(
      [&](proxied& p) -> task<> {
        p.proxy.set_toxics(flow::to_client, {.corrupt = 0.01});
        auto client = p.connect();
        auto echoing = echo_of(*client, std::string(10'000, 'x'));
        echoed = co_await std::move(echoing);
        auto changed =
            static_cast<std::uint64_t>(std::count_if(echoed.begin(), echoed.end(), [](char c) { return c != 'x'; }));
        EXPECT_EQ(p.proxy.counters().corrupted_bytes, changed);
      },
      {.seed = seed});
  return echoed;
}

TEST(chaos_proxy, corrupts_bytes_as_its_seed_says) {
  std::string once = corrupted_echo(1);
  auto changed = std::count_if(once.begin(), once.end(), [](char c) { return c != 'x'; });
  EXPECT_GT(changed, 50);
  EXPECT_LT(changed, 200);
  EXPECT_EQ(once, corrupted_echo(1));
  EXPECT_NE(once, corrupted_echo(2));
}

TEST(chaos_proxy, loses_the_answer_to_a_text_that_was_passed_on) {
  with_proxy(
      [](proxied& p) -> task<> {
        p.proxy.set_toxics(flow::to_server, {.lose_answer_to = "COMMIT"});
        auto client = p.connect();
        auto accepting = p.server.accept();
        auto server = co_await std::move(accepting);
        auto asking = say(*client, "INSERT");
        co_await std::move(asking);
        auto hearing = read_exactly(*server, 6);
        EXPECT_EQ(co_await std::move(hearing), "INSERT");
        auto answering = say(*server, "1 row");
        co_await std::move(answering);
        auto heard = read_exactly(*client, 5);
        EXPECT_EQ(co_await std::move(heard), "1 row");
        // The text comes in two pieces, and with more behind it.
        auto half = say(*client, "...COM");
        co_await std::move(half);
        co_await let_all_run();
        auto rest = say(*client, "MIT;");
        co_await std::move(rest);
        auto all = read_exactly(*server, 10);
        EXPECT_EQ(co_await std::move(all), "...COMMIT;");
        auto done = say(*server, "done");
        co_await std::move(done);
        auto lost = read_to_end(*client);
        EXPECT_EQ(co_await std::move(lost), "RESET");
        EXPECT_EQ(p.proxy.counters().lost_answers, 1u);
      },
      {}, false);
}

TEST(chaos_proxy, loses_only_each_so_many_th_answer) {
  with_proxy([](proxied& p) -> task<> {
    p.proxy.set_toxics(flow::to_server, {.lose_answer_to = "COMMIT", .lose_answer_every = 3});
    std::string ends;
    for (int i = 0; i < 9; ++i) {
      auto client = p.connect();
      auto saying = say(*client, "COMMIT");
      co_await std::move(saying);
      client->shutdown_send();
      auto hearing = read_to_end(*client);
      ends += co_await std::move(hearing) == "COMMIT" ? '+' : '-';
    }
    EXPECT_EQ(ends, "++-++-++-");
  });
}

TEST(chaos_proxy, lists_connections_and_ends_one_or_all) {
  with_proxy([](proxied& p) -> task<> {
    std::vector<std::unique_ptr<memory_stream>> clients;
    for (int i = 0; i < 3; ++i) {
      clients.push_back(p.connect());
      auto echoed = echo_of(*clients.back(), std::string(static_cast<std::size_t>(i) + 1, 'x'));
      co_await std::move(echoed);
    }
    std::vector<std::uint64_t> bytes;
    for (const chaos_connection_info& c : p.proxy.connections()) bytes.push_back(c.bytes_to_client);
    EXPECT_THAT(bytes, ElementsAre(1, 2, 3));
    EXPECT_TRUE(p.proxy.cut(2));
    EXPECT_FALSE(p.proxy.cut(7));
    auto rest = read_to_end(*clients[1]);
    EXPECT_EQ(co_await std::move(rest), "");
    EXPECT_FALSE(p.proxy.reset(2));
    EXPECT_EQ(p.proxy.reset_all(), 2u);
    co_await let_all_run();
    EXPECT_TRUE(p.proxy.connections().empty());
    EXPECT_EQ(p.proxy.counters().cut_connections, 3u);
  });
}

TEST(chaos_proxy, new_toxics_may_be_for_new_connections_only) {
  with_proxy([](proxied& p) -> task<> {
    auto old = p.connect();
    auto first = echo_of(*old, "hello");
    co_await std::move(first);
    p.proxy.set_toxics(flow::to_client, {.latency = 1s}, only_new);
    time_point asked = scheduler::current().now();
    auto again = echo_of(*old, "hello");
    co_await std::move(again);
    EXPECT_EQ(scheduler::current().now(), asked);
    auto fresh = p.connect();
    auto late = echo_of(*fresh, "hello");
    co_await std::move(late);
    EXPECT_EQ(scheduler::current().now() - asked, 1s);
  });
}

TEST(chaos_proxy, stops_by_ending_what_is_open) {
  simulation sim;
  proxied p({});
  auto body = [&]() -> task<> {
    auto serving = [&](task_group& group) -> task<> {
      group.start_background(echo_all(p.server, group));
      group.start(p.proxy.serve(p.front));
      auto client = p.connect();
      auto echoed = echo_of(*client, "hello");
      co_await std::move(echoed);
      p.proxy.stop();
    };
    auto all = with_task_group(serving);
    co_await std::move(all);
  };
  sim.run(body());
  EXPECT_TRUE(p.proxy.connections().empty());
}

TEST(chaos_proxy, refuses_toxics_that_make_no_sense) {
  chaos_proxy proxy(net::endpoint::parse("127.0.0.1:1"));
  for (const toxics& wrong : {toxics{.corrupt = 1.5}, toxics{.corrupt = -1}, toxics{.lose_answer_every = 0}}) {
    try {
      proxy.set_toxics(flow::to_server, wrong);
      ADD_FAILURE() << "was taken";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(testing_errc::bad_setting)) << e.what();
    }
  }
}

TEST(chaos_proxy, stands_before_a_real_server) {
  auto body = []() -> task<> {
    auto server = net::listen(net::endpoint::parse("127.0.0.1:0"));
    auto front = net::listen(net::endpoint::parse("127.0.0.1:0"));
    chaos_proxy proxy(server->local_endpoint());
    auto beside = [&](task_group& group) -> task<> {
      auto echo_one = [&]() -> task<> {
        auto accepting = server->accept();
        auto echoing = echo(co_await std::move(accepting));
        co_await std::move(echoing);
      };
      group.start_background(echo_one());
      group.start_background(proxy.serve(*front));
      auto connecting = net::connect(front->local_endpoint());
      auto client = co_await std::move(connecting);
      std::string text(1 << 20, 'x');
      auto echoed = echo_of(*client, text.substr(0, 200'000));
      EXPECT_EQ((co_await std::move(echoed)).size(), 200'000u);
      EXPECT_EQ(proxy.connections().size(), 1u);
      proxy.reset_all();
      auto rest = read_to_end(*client);
      EXPECT_EQ(co_await std::move(rest), "RESET");
    };
    auto all = with_task_group(beside);
    co_await std::move(all);
  };
  net::run(body());
}

}  // namespace
}  // namespace penstock::testing
