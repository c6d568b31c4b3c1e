// Clients whose uploads never end.

#include "network_fixture.h"
#include <penstock/http/client.h>
#include <penstock/http/server.h>
#include <penstock/ingest/service.h>
#include <penstock/observe/metrics.h>
#include <penstock/testing/database.h>
#include <penstock/testing/test.h>

namespace penstock::testing {
namespace {

// Sends all of a request but its end, then a blank line now and then; gives the answer.
task<std::string> trickle(network& net, std::string name) {
  task<std::unique_ptr<net::stream>> connecting = net.connect(name, net::endpoint::tcp("server", 80));
  std::unique_ptr<net::stream> stream = co_await std::move(connecting);
  std::string begun = "POST /v1/items HTTP/1.1\r\nHost: server\r\nConnection: close\r\nIdempotency-Key: " + name +
                      "\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000\r\n\r\n";
  for (int i = 0; i < 99; ++i) begun += "1\n";
  task<void> beginning = write(*stream, std::move(begun));
  co_await std::move(beginning);
  auto keep_on = [](net::stream& s) -> task<> {
    for (;;) {
      co_await sleep_for(29s);
      task<void> writing = write(s, "\n");
      co_await std::move(writing);
    }
  };
  std::string answer;
  auto both = [&](task_group& group) -> task<> {
    group.start_background(keep_on(*stream));
    task<std::string> reading = read_all(*stream);
    answer = co_await std::move(reading);
  };
  task<void> whole = with_task_group(both);
  co_await std::move(whole);
  co_return answer;
}

PENSTOCK_TEST(keyed_upload, that_trickles_gives_its_place_in_the_queue_up_in_time) {
  network net;
  database store;
  metrics::registry registry;
  ingest::service_options options;
  options.streams.push_back({.name = "items", .table = "items"});
  options.batch.max_rows = 100;
  options.batch.queue_rows = 500;
  ingest::service s(store.server(), options, &registry);
  task<bool> opening = s.open();
  co_await std::move(opening);
  http::router routes;
  s.add_routes(routes);
  http::server server(std::move(routes));
  std::unique_ptr<net::listener> listener = net.listen("server", 80);

  std::string page_line = "\npenstock_queue_rows{stream=\"items\"} ";
  auto none_queued = [&] { return registry.render().find(page_line + "0\n") != std::string::npos; };
  auto post = [&](std::string key) -> task<int> {
    http::client client({.connect = net.connector("client")});
    std::string body;
    for (int i = 0; i < 90; ++i) body += "1\n";
    http::client_request request("POST", "http://server:80/v1/items", std::move(body));
    request.headers = {{"Content-Type", "application/x-ndjson"}, {"Idempotency-Key", key}};
    task<http::client_response> asking = client.send(std::move(request));
    http::client_response answer = co_await std::move(asking);
    task<void> closing = client.close();
    co_await std::move(closing);
    co_return answer.status;
  };
  auto upload = [&](std::string name) -> task<> {
    task<std::string> uploading = trickle(net, std::move(name));
    std::string answer = co_await std::move(uploading);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 408")) << answer;
    EXPECT_NE(answer.find("\"http.request_timeout\""), std::string::npos) << answer;
  };
  auto all = [&](task_group& group) -> task<> {
    group.start_background(s.run(), "service");
    group.start_background(server.serve(*listener), "server");
    auto clients = [&](task_group& uploads) -> task<> {
      for (int i = 0; i < 5; ++i) uploads.start(upload("slow" + std::to_string(i)));
      co_await sleep_for(1s);
      EXPECT_FALSE(none_queued());
      task<int> refused = post("one");
      EXPECT_EQ(co_await std::move(refused), 503);
      co_await sleep_for(options.keyed_body_timeout);
      EXPECT_TRUE(none_queued());
      task<int> taken = post("two");
      EXPECT_EQ(co_await std::move(taken), 200);
    };
    task<void> uploading = with_task_group(clients);
    co_await std::move(uploading);
  };
  task<void> whole = with_task_group(all);
  co_await std::move(whole);
  EXPECT_EQ(store.count("SELECT count(*) FROM items"), 90);
}

}  // namespace
}  // namespace penstock::testing
