#include "network_fixture.h"
#include <penstock/http/server.h>
#include <penstock/testing/failure_point.h>
#include <penstock/testing/http_client.h>

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

// Runs `body(network&, http::server&)` beside a server "server" on port 80, which then stops.
template <class Body>
void beside_a_server(Body body, network_faults faults = {}) {
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
  EXPECT_EQ(describe(sim.open_things().open()), "");
}

client_request echo(std::string body) { return {"POST", "http://server:80/echo", std::move(body)}; }

task<std::optional<client_errc>> failure_of(task<client_response> asking) {
  try {
    co_await std::move(asking);
  } catch (const http::client_error& e) {
    co_return std::optional<client_errc>(e.errc());
  }
  co_return std::nullopt;
}

TEST(simulated_http_client, sends_several_requests_over_one_connection) {
  beside_a_server([](network& n, http::server& server) -> task<> {
    http_client client(n, "client");
    for (int i = 0; i < 3; ++i) {
      task<client_response> asking = client.send(echo("hello " + std::to_string(i)));
      client_response answer = co_await std::move(asking);
      EXPECT_EQ(answer.status, 200);
      EXPECT_EQ(answer.body, "hello " + std::to_string(i));
    }
    EXPECT_EQ(server.stats().connections, 1u);
    client.close();
  });
}

TEST(simulated_http_client, reads_an_answer_that_comes_byte_by_byte) {
  beside_a_server(
      [](network& n, http::server&) -> task<> {
        http_client client(n, "client");
        std::string text(3'000, 'x');
        task<client_response> asking = client.send(echo(text));
        client_response answer = co_await std::move(asking);
        EXPECT_EQ(answer.body, text);
        client.close();
      },
      {.slice = 1.0, .jitter = 1ms});
}

TEST(simulated_http_client, says_whether_a_request_may_have_been_carried_out) {
  beside_a_server([](network& n, http::server&) -> task<> {
    http_client client(n, "client", {.request_timeout = 5s});
    std::optional<client_errc> code = co_await failure_of(client.send(client_request("http://server:81/")));
    EXPECT_EQ(code, client_errc::connect_failed);
    code = co_await failure_of(client.send(client_request("http://nowhere/")));
    EXPECT_EQ(code, client_errc::resolve_failed);
    code = co_await failure_of(client.send(client_request("https://server/")));
    EXPECT_EQ(code, client_errc::bad_url);
    time_point start = now();
    code = co_await failure_of(client.send(client_request("http://server/slow")));
    EXPECT_EQ(code, client_errc::timed_out);
    EXPECT_EQ(now() - start, 5s);
    n.set_faults({.reset = 1.0});
    code = co_await failure_of(client.send(echo("x")));
    EXPECT_EQ(code, client_errc::connection_lost);
    n.heal();
  });
}

}  // namespace
}  // namespace penstock::testing
