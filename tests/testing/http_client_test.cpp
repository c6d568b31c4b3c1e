// http::client, as it is, on a simulated network.

#include "network_fixture.h"
#include <penstock/http/client.h>
#include <penstock/http/safe_request.h>
#include <penstock/http/server.h>

#include <gmock/gmock.h>

namespace penstock::testing {
namespace {

using http::client_errc;
using http::client_request;
using http::client_response;

http::router echo_routes() {
  http::router routes;
  routes.add("POST", "/echo", [](http::request& r) -> task<http::response> {
    task<std::string> reading = r.body().read_all(std::size_t{1} << 20);
    std::string body = co_await std::move(reading);
    co_return http::response::text(200, std::move(body));
  });
  routes.add("GET", "/slow", [](http::request&) -> task<http::response> {
    co_await sleep_for(1h);
    co_return http::response::text(200, "at last");
  });
  return routes;
}

http::client_options on(network& n, duration timeout = 1min) {
  http::client_options options;
  options.request_timeout = timeout;
  options.idle_timeout = duration::max();
  options.connect = n.connector("client");
  return options;
}

// Runs `body(network&, http::server&)` beside a server "server" on port 80, which then stops. Gives the virtual time.
template <class Body>
duration beside_a_server(Body body, network_faults faults = {}) {
  simulation sim;
  network n;
  auto main = [&]() -> task<> {
    http::server server(echo_routes());
    std::unique_ptr<net::listener> at = n.listen("server", 80);
    n.set_faults(faults);
    auto serving = [&](task_group& group) -> task<> {
      group.start(server.serve(*at));
      task<> running = body(n, server);
      co_await std::move(running);
      server.stop();
    };
    task<> whole = with_task_group(serving);
    co_await std::move(whole);
  };
  sim.run(main());
  EXPECT_THAT(sim.leaks(), ::testing::IsEmpty());
  return sim.elapsed();
}

task<void> close(http::client& c) {
  task<void> closing = c.close();
  co_await std::move(closing);
}

client_request echo(std::string body) { return {"POST", "http://server/echo", std::move(body)}; }

task<std::optional<client_errc>> failure_of(task<client_response> asking) {
  try {
    co_await std::move(asking);
  } catch (const http::client_error& e) {
    co_return std::optional<client_errc>(e.errc());
  }
  co_return std::nullopt;
}

TEST(http_client_in_simulation, sends_each_request_over_a_connection_of_its_own) {
  beside_a_server([](network& n, http::server& server) -> task<> {
    http::client client(on(n));
    for (int i = 0; i < 3; ++i) {
      task<client_response> asking = client.send(echo("hello " + std::to_string(i)));
      client_response answer = co_await std::move(asking);
      EXPECT_EQ(answer.status, 200);
      EXPECT_EQ(answer.body, "hello " + std::to_string(i));
    }
    co_await sleep_for(1s);
    EXPECT_EQ(server.stats().connections, 3u);
    EXPECT_EQ(server.stats().open_connections, 0u);
    co_await close(client);
  });
}

TEST(http_client_in_simulation, carries_long_bodies_both_ways_through_a_narrow_network) {
  beside_a_server(
      [](network& n, http::server&) -> task<> {
        http::client client(on(n));
        std::string text(900'000, 'x');
        task<client_response> asking = client.send(echo(text));
        client_response answer = co_await std::move(asking);
        EXPECT_EQ(answer.body.size(), text.size());
        EXPECT_TRUE(answer.body == text);
        co_await close(client);
      },
      {.jitter = 1ms});
}

TEST(http_client_in_simulation, reads_an_answer_that_comes_byte_by_byte) {
  beside_a_server(
      [](network& n, http::server&) -> task<> {
        http::client client(on(n));
        std::string text(3'000, 'x');
        task<client_response> asking = client.send(echo(text));
        client_response answer = co_await std::move(asking);
        EXPECT_EQ(answer.body, text);
        co_await close(client);
      },
      {.slice = 1.0, .jitter = 1ms});
}

TEST(http_client_in_simulation, that_is_closed_right_after_an_answer_leaves_nothing) {
  beside_a_server([](network& n, http::server&) -> task<> {
    http::client client(on(n));
    task<client_response> asking = client.send(echo("hello"));
    co_await std::move(asking);
    co_await close(client);
  });
}

TEST(http_client_in_simulation, of_safe_request_leaves_nothing) {
  beside_a_server([](network& n, http::server&) -> task<> {
    task<http::safe_response> asking = http::safe_request(echo("hello"), on(n));
    http::safe_response answer = co_await std::move(asking);
    EXPECT_EQ(answer.value().body, "hello");
    try {
      task<http::safe_response> slow = with_timeout(1s, http::safe_request("http://server/slow", on(n)));
      static_cast<void>(co_await std::move(slow));
      ADD_FAILURE() << "an answer came";
    } catch (const timed_out&) {
    }
    n.reset("client", "server");
  });
}

TEST(http_client_in_simulation, times_out_in_virtual_time) {
  beside_a_server([](network& n, http::server&) -> task<> {
    http::client client(on(n, 40s));
    time_point start = now();
    std::optional<client_errc> code = co_await failure_of(client.get("http://server/slow"));
    EXPECT_EQ(code, client_errc::timed_out);
    EXPECT_EQ(now() - start, 40s);
    co_await close(client);
  });
}

TEST(http_client_in_simulation, says_whether_a_request_may_have_been_carried_out) {
  beside_a_server([](network& n, http::server&) -> task<> {
    http::client client(on(n));
    std::optional<client_errc> code = co_await failure_of(client.get("http://server:81/"));
    EXPECT_EQ(code, client_errc::connect_failed);
    code = co_await failure_of(client.get("http://nowhere/"));
    EXPECT_EQ(code, client_errc::resolve_failed);
    n.partition("client", "server");
    code = co_await failure_of(client.get("http://server/"));
    EXPECT_EQ(code, client_errc::connect_failed);
    n.heal();
    n.set_faults({.reset = 1.0});
    code = co_await failure_of(client.send(echo("x")));
    EXPECT_EQ(code, client_errc::connection_lost);
    n.heal();
    co_await close(client);
  });
}

TEST(http_client_in_simulation, a_cancelled_request_closes_its_connection) {
  beside_a_server([](network& n, http::server& server) -> task<> {
    http::client client(on(n));
    try {
      task<client_response> asking = with_timeout(1s, client.get("http://server/slow"));
      co_await std::move(asking);
    } catch (const timed_out&) {
    }
    co_await sleep_for(2h);
    EXPECT_EQ(server.stats().open_connections, 0u);
    co_await close(client);
  });
}

TEST(http_client_in_simulation, a_run_is_the_same_each_time) {
  auto chat = [] {
    return beside_a_server(
        [](network& n, http::server&) -> task<> {
          http::client client(on(n, 3s));
          task_group group;
          auto ask = [&](int who) -> task<> {
            for (int i = 0; i < 20; ++i) co_await failure_of(client.send(echo(std::string(100 * who, 'x'))));
          };
          for (int who = 1; who <= 5; ++who) group.start(ask(who));
          task<> all = group.join();
          co_await std::move(all);
          n.heal();
          co_await close(client);
        },
        {.refuse = 0.1, .reset = 0.05, .slice = 0.3, .jitter = 10ms, .partition_every = 1s, .partition_for = 1s});
  };
  duration first = chat();
  for (int again = 0; again < 5; ++again) EXPECT_EQ(chat(), first);
}

}  // namespace
}  // namespace penstock::testing
