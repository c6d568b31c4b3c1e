// What a server counts.

#include "test_server.h"
#include <penstock/observe/metrics.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(server_metrics, requests_are_counted_by_method_route_and_class) {
  metrics::registry registry;
  router routes = echo_routes();
  routes.add("GET", "/slow/{id}", [](request&) -> task<response> {
    co_await sleep_for(2s);
    co_return response(204, "");
  });
  with_server(std::move(routes), {}, [&](test_server& s) -> task<> {
    s.server.measure(registry);
    test_client c = s.connect();
    c.send(get("/a") + get("/b") + post("/c", "12345") + get("/slow/7") + get("/no/such/thing") +
           "BREW /a HTTP/1.1\r\nHost: t\r\n\r\nnonsense\r\n\r\n");
    for (int i = 0; i < 7; ++i) co_await c.receive();
    co_await c.closed();
    std::string text = registry.render();
    for (const char* line : {
             R"(penstock_http_requests_total{method="GET",route="/{any}",status="2xx"} 2)",
             R"(penstock_http_requests_total{method="POST",route="/{any}",status="2xx"} 1)",
             R"(penstock_http_requests_total{method="GET",route="/slow/{id}",status="2xx"} 1)",
             R"(penstock_http_requests_total{method="GET",route="unmatched",status="4xx"} 1)",
             R"(penstock_http_requests_total{method="other",route="/{any}",status="4xx"} 1)",
             R"(penstock_http_requests_total{method="other",route="unmatched",status="4xx"} 1)",
             R"(penstock_http_request_duration_seconds_count{route="/slow/{id}"} 1)",
             R"(penstock_http_request_duration_seconds_sum{route="/slow/{id}"} 2)",
             "penstock_http_connections_total 1",
         })
      EXPECT_THAT(text, HasSubstr(line));
  });
}

TEST(server_metrics, a_slow_body_whose_client_left_is_no_slow_head) {
  metrics::registry registry;
  router routes;
  routes.add("POST", "/x", [](request& r) -> task<response> {
    try {
      task<std::string> reading = r.body().read_all(100);
      co_await std::move(reading);
    } catch (const error&) {
    }
    co_await sleep_for(5s);
    co_return response::text(200, "as much as came");
  });
  with_server(std::move(routes), {.body_timeout = 10s}, [&](test_server& s) -> task<> {
    s.server.measure(registry);
    test_client c = s.connect();
    c.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nab");
    co_await sleep_for(12s);
    c.reset();
    co_await sleep_for(5s);
    EXPECT_EQ(s.server.stats().open_connections, 0u);
    EXPECT_THAT(registry.render(), HasSubstr("status=\"2xx\"} 1"));
    EXPECT_THAT(registry.render(), Not(HasSubstr("status=\"4xx\"")));
  });
}

TEST(server_metrics, bytes_are_those_of_the_wire) {
  metrics::registry registry;
  with_server(echo_routes(), {}, [&](test_server& s) -> task<> {
    s.server.measure(registry);
    test_client c = s.connect();
    std::string request = post("/c", "12345");
    c.send(request);
    answer a = co_await c.receive();
    std::string text = registry.render();
    EXPECT_THAT(text, HasSubstr("penstock_http_request_bytes_total " + std::to_string(request.size())));
    EXPECT_THAT(text, HasSubstr("penstock_http_response_bytes_total " + std::to_string(a.head.size() + 5)));
  });
}

TEST(server_metrics, gauges_add_up_over_servers_and_end_with_them) {
  metrics::registry registry;
  router slow;
  slow.add("GET", "/x", [](request&) -> task<response> {
    co_await sleep_for(2s);
    co_return response(204, "");
  });
  router slow_too = slow;
  with_server(std::move(slow), {}, [&](test_server& s) -> task<> {
    test_server other(slow_too, {});
    s.server.measure(registry);
    other.server.measure(registry);
    auto body = [&](test_server& second) -> task<> {
      test_client a = s.connect();
      test_client b = second.connect();
      a.send(get("/x"));
      b.send(get("/x"));
      test_client idle = s.connect();
      co_await settle();
      std::string text = registry.render();
      EXPECT_THAT(text, HasSubstr("penstock_http_open_connections 3"));
      EXPECT_THAT(text, HasSubstr("penstock_http_requests_in_flight 2"));
      co_await a.receive();
      co_await b.receive();
      EXPECT_THAT(registry.render(), HasSubstr("penstock_http_requests_in_flight 0"));
    };
    task<> serving = serve_during(other, body);
    co_await std::move(serving);
  });
  std::string text = registry.render();
  EXPECT_THAT(text, HasSubstr("penstock_http_open_connections 0"));
}

}  // namespace
}  // namespace penstock::http
