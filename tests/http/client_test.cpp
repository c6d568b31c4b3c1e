#include "client_peers.h"
#include <penstock/async/gather.h>
#include <penstock/http/client.h>

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

task<response> echo(request& r) {
  std::string body = co_await r.body().read_all(16 << 20);
  response answer = response::text(200, std::string(r.method()) + " " + body);
  for (const header_field& field : r.headers())
    answer.headers.emplace_back("Echo-" + std::string(field.name), field.value);
  co_return answer;
}

router echo_routes() {
  router routes;
  routes.otherwise(echo);
  return routes;
}

TEST(client, gives_the_status_the_fields_and_the_body_of_an_answer) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c;
    client_response answer = co_await c.get(url + "/a?b=c");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "GET ");
    EXPECT_EQ(answer.header("content-type"), "text/plain; charset=utf-8");
    EXPECT_EQ(answer.header("no-such-field"), std::nullopt);
    EXPECT_EQ(answer.effective_url, url + "/a?b=c");
    EXPECT_GT(answer.timing.total, 0ns);
  });
}

TEST(client, posts_a_body_with_its_type) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c;
    std::string body(300'000, 'x');
    client_response answer = co_await c.post(url, body);
    EXPECT_TRUE(answer.body == "POST " + body);
    EXPECT_EQ(answer.header("Echo-Content-Type"), "application/json");
    EXPECT_EQ(answer.header("Echo-Expect"), std::nullopt);
  });
}

TEST(client, keeps_the_connection_for_the_next_request) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c;
    for (int i = 0; i < 5; ++i) {
      client_response answer = co_await c.get(url);
      EXPECT_EQ(answer.reused_connection, i > 0);
    }
    EXPECT_EQ(c.stats().connections, 1u);
    EXPECT_EQ(c.stats().answered, 5u);
  });
}

TEST(client, serves_a_thousand_requests_of_fifty_tasks) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c({.max_connections_per_host = 20});
    auto ask = [&](int task_number) -> task<> {
      for (int i = 0; i < 20; ++i) {
        std::string body = std::to_string(task_number) + "/" + std::to_string(i);
        task<client_response> asking = c.post(url, body);
        client_response answer = co_await std::move(asking);
        EXPECT_EQ(answer.body, "POST " + body);
      }
    };
    std::vector<task<>> all;
    for (int i = 0; i < 50; ++i) all.push_back(ask(i));
    task<> asking = gather(std::move(all));
    co_await std::move(asking);
    EXPECT_EQ(c.stats().answered, 1000u);
    EXPECT_LE(c.stats().connections, 20u);
    EXPECT_EQ(c.stats().in_flight, 0u);
  });
}

}  // namespace
}  // namespace penstock::http
