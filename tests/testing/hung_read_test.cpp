// A database that takes a question about items and never answers.

#include <penstock/http/client.h>
#include <penstock/http/server.h>
#include <penstock/ingest/service.h>
#include <penstock/observe/metrics.h>
#include <penstock/testing/database.h>
#include <penstock/testing/network.h>
#include <penstock/testing/simulation.h>

#include <memory>
#include <utility>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;

task<int> status_of(http::client& client, std::string method, std::string path, std::string body = {}) {
  http::client_request request{std::move(method), "http://server/v1/items" + path, std::move(body)};
  request.headers.emplace_back("Content-Type", "application/json");
  task<http::client_response> asking = client.send(std::move(request));
  http::client_response answered = co_await std::move(asking);
  co_return answered.status;
}

TEST(hung_read, gets_503_in_time_and_its_connection_is_given_up) {
  simulation sim;
  auto body = [&]() -> task<> {
    database store({.give_up = 24h});
    network net;
    metrics::registry registry;
    ingest::service_options options;
    options.streams.push_back({.name = "items", .table = "items"});
    options.read_connections = 1;
    options.read_timeout = 3s;
    ingest::service service(store.server(), options, &registry);
    co_await service.open();
    http::router routes;
    service.add_routes(routes);
    http::server server(std::move(routes));
    std::unique_ptr<net::listener> at = net.listen("server", 80);
    auto serving = [&](task_group& group) -> task<> {
      group.start(service.run(), "service");
      group.start_background(server.serve(*at), "server");
      http::client_options on;
      on.connect = net.connector("client");
      http::client client(on);
      EXPECT_EQ(co_await status_of(client, "POST", "", R"({"n": 1})"), 200);
      bool hung = false;
      store.on_statement([&](const statement& s) {
        bool reads = s.sql.starts_with("SELECT item.");
        return reads && !std::exchange(hung, true) ? fate::never() : fate::done();
      });
      time_point begun = sim.now();
      EXPECT_EQ(co_await status_of(client, "GET", "/1"), 503);
      EXPECT_TRUE(hung);
      EXPECT_GE(sim.now() - begun, 3s);
      EXPECT_LT(sim.now() - begun, 4s);
      EXPECT_EQ(co_await status_of(client, "GET", "/1"), 200);
      EXPECT_EQ(co_await status_of(client, "GET", ""), 200);
      task<> closing = client.close();
      co_await std::move(closing);
      server.stop();
      service.stop();
    };
    task<> whole = with_task_group(serving);
    co_await std::move(whole);
  };
  sim.run(body());
}

}  // namespace
}  // namespace penstock::testing
