#pragma once

// A service on a simulated database and a simulated network, in virtual time.

#include "marked_database.h"
#include "service_fixture.h"
#include <penstock/testing/network.h>
#include <penstock/testing/simulation.h>

namespace penstock::ingest {

class simulated_service : public service_test {
 protected:
  // Serves the streams in virtual time while `body` runs.
  void simulate(std::shared_ptr<marked_server> server, service_options options, std::function<task<void>()> body) {
    penstock::testing::simulation sim;
    sim.run(serve_at("server", std::move(server), std::move(options), registry_, std::move(body)));
  }
  // The same at a host's port 80, in a simulation that runs.
  task<void> serve_at(std::string host, std::shared_ptr<marked_server> server, service_options options,
                      metrics::registry& registry, std::function<task<void>()> body) {
    service s(db::database(std::make_shared<marked_driver>(std::move(server))), std::move(options), &registry);
    co_await s.open();
    http::router routes;
    s.add_routes(routes);
    http::server answering(std::move(routes));
    std::unique_ptr<net::listener> listener = net_.listen(host, 80);
    auto serving = [&](task_group& group) -> task<void> {
      group.start(s.run(), "service");
      task_group requests;
      requests.start(answering.serve(*listener), "server");
      co_await body();
      answering.stop();
      co_await requests.join();
      s.stop();
    };
    task<void> whole = with_task_group(serving);
    co_await std::move(whole);
  }
  task<answer> ask_server(std::string request, std::string host = "server") {
    net::endpoint to = net::endpoint::parse(host + ":80");
    task<std::unique_ptr<net::stream>> connecting = net_.connect("client", to);
    std::unique_ptr<net::stream> stream = co_await std::move(connecting);
    task<answer> asking = ask_on(*stream, std::move(request));
    co_return co_await std::move(asking);
  }
  task<int> status_of(std::string request) {
    task<answer> asking = ask_server(std::move(request));
    answer a = co_await std::move(asking);
    co_return a.status;
  }
  static std::string post_to(const std::string& stream, const std::string& body, const std::string& more = {}) {
    return "POST /v1/" + stream + " HTTP/1.1\r\nHost: server\r\nConnection: close\r\n" + more +
           "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  const std::string is_ready = "GET /readyz HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n";
  penstock::testing::network net_;
};

}  // namespace penstock::ingest
