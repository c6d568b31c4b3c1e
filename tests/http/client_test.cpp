#include "client_peers.h"
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/on_worker.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/http/client.h>
#include <penstock/observe/request_context.h>

#include <algorithm>

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

TEST(client, posts_a_body_that_stays_the_callers) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c;
    std::string body(300'000, 'x');
    for (std::string_view sent : {std::string_view(body), std::string_view(body).substr(7, 100'000)}) {
      client_request r("POST", url);
      r.lent_body = sent;
      task<client_response> sending = c.send(std::move(r));
      client_response answer = co_await std::move(sending);
      EXPECT_TRUE(answer.body == "POST " + std::string(sent));
    }
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

TEST(client, has_no_more_requests_under_way_than_connections_for_a_host) {
  int now = 0, most = 0;
  router routes;
  routes.otherwise([&](request&) -> task<response> {
    most = std::max(most, ++now);
    co_await sleep_for(1ms);
    --now;
    co_return response::text(200, "ok");
  });
  with_server(std::move(routes), [&](std::string url) -> task<> {
    client c({.max_connections = 10, .max_connections_per_host = 3});
    std::vector<task<client_response>> all;
    for (int i = 0; i < 30; ++i) all.push_back(c.get(url));
    auto asking = gather(std::move(all));
    co_await std::move(asking);
    EXPECT_LE(most, 3);
    EXPECT_EQ(c.stats().connections, 3u);
  });
}

task<> ask_beside_one_another(client& c, std::string url, int at_once, int rounds) {
  auto ask = [&]() -> task<> {
    for (int i = 0; i < rounds; ++i) {
      task<client_response> asking = c.get(url);
      co_await std::move(asking);
    }
  };
  std::vector<task<>> all;
  for (int i = 0; i < at_once; ++i) all.push_back(ask());
  task<> asking = gather(std::move(all));
  co_await std::move(asking);
}

// An answer that comes just before a request begins frees a connection for it before the client is told of the answer.
// So the server is on another loop, and answers at any time.
TEST(client, makes_no_connection_beside_those_that_come_free) {
  constexpr int at_once = 4, rounds = 500;
  client_stats stats;
  with_server(echo_routes(), [&](std::string url) -> task<> {
    auto asking = on_worker([&] {
      auto ask = [&]() -> task<> {
        client c({.max_connections_per_host = at_once});
        task<> asking = ask_beside_one_another(c, url, at_once, rounds);
        co_await std::move(asking);
        stats = c.stats();
      };
      net::run(ask());
    });
    co_await std::move(asking);
  });
  EXPECT_EQ(stats.answered, std::uint64_t{at_once * rounds});
  EXPECT_EQ(stats.connections, std::uint64_t{at_once});
}

TEST(client, looks_names_up) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c;
    url.replace(url.find("127.0.0.1"), 9, "localhost");
    for (int i = 0; i < 2; ++i) {
      client_response answer = co_await c.get(url);
      EXPECT_EQ(answer.status, 200);
      EXPECT_EQ(answer.reused_connection, i > 0);
    }
  });
}

TEST(client, sends_every_method_and_head_has_no_body) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c;
    for (std::string method : {"GET", "POST", "PUT", "PATCH", "DELETE", "PURGE"}) {
      for (std::string body : {"", "a body"}) {
        task<client_response> sending = c.send(client_request(method, url, body));
        client_response answer = co_await std::move(sending);
        EXPECT_EQ(answer.body, method + " " + body);
      }
    }
    task<client_response> sending = c.send(client_request("HEAD", url));
    client_response answer = co_await std::move(sending);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "");
    EXPECT_NE(answer.header("Content-Length"), std::nullopt);
  });
}

TEST(client, sends_the_fields_it_is_given_empty_ones_too) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c({.user_agent = "tester/1"});
    client_request r(url);
    r.headers = {{"X-One", "1"}, {"X-None", ""}};
    task<client_response> sending = c.send(std::move(r));
    client_response answer = co_await std::move(sending);
    EXPECT_EQ(answer.header("Echo-X-One"), "1");
    EXPECT_EQ(answer.header("Echo-X-None"), "");
    EXPECT_EQ(answer.header("Echo-User-Agent"), "tester/1");
    EXPECT_EQ(answer.header("Echo-Content-Type"), std::nullopt);
  });
}

TEST(client, sends_the_name_and_password_of_a_url_and_hides_them_afterwards) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c;
    std::string with_user = url;
    client_response answer = co_await c.get(with_user.insert(7, "joe:pw@"));
    EXPECT_EQ(answer.header("Echo-Authorization"), "Basic am9lOnB3");
    EXPECT_EQ(answer.effective_url, url + "/");
  });
}

TEST(client, sends_on_the_request_id_the_trace_and_the_deadline) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c;
    std::string trace(32, 'a'), span(16, 'b');
    auto ask = [&]() -> task<client_response> {
      task<client_response> getting = c.get(url);
      task<client_response> limited = with_timeout(10s, std::move(getting));
      co_return co_await std::move(limited);
    };
    task<client_response> asking = current_request.bind(request_context("r-17", trace, span), ask());
    client_response answer = co_await std::move(asking);
    EXPECT_EQ(answer.header("Echo-X-Request-Id"), "r-17");
    EXPECT_EQ(answer.header("Echo-traceparent"), "00-" + trace + "-" + span + "-01");
    int left = std::stoi(std::string(answer.header("Echo-X-Request-Timeout-Ms").value_or("0")));
    EXPECT_GT(left, 1000);
    EXPECT_LE(left, 10'000);
    client_response outside = co_await c.get(url);
    for (const char* name : {"X-Request-Id", "traceparent", "X-Request-Timeout-Ms"})
      EXPECT_EQ(outside.header("Echo-" + std::string(name)), std::nullopt);
  });
}

TEST(client, sends_on_whether_the_trace_is_sampled_and_its_state) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c;
    const std::string trace(32, 'a'), span(16, 'b');
    request_context within("r-17", trace, span, false, "a=1,b=2");
    task<client_response> asking = current_request.bind(within, c.get(url));
    client_response answer = co_await std::move(asking);
    EXPECT_EQ(answer.header("Echo-traceparent"), "00-" + trace + "-" + span + "-00");
    EXPECT_EQ(answer.header("Echo-tracestate"), "a=1,b=2");
    client_request own("GET", url);
    own.headers.emplace_back("tracestate", "c=3");
    asking = current_request.bind(within, c.send(std::move(own)));
    answer = co_await std::move(asking);
    EXPECT_EQ(answer.header("Echo-tracestate"), "c=3");
    request_context broken("r-17", trace, span, true, "a=1\r\nX-Evil: 1");
    asking = current_request.bind(broken, c.get(url));
    answer = co_await std::move(asking);
    EXPECT_EQ(answer.header("Echo-tracestate"), std::nullopt);
    EXPECT_EQ(answer.header("Echo-X-Evil"), std::nullopt);
  });
}

TEST(client, sends_no_trace_that_is_none_and_no_field_twice) {
  with_server(echo_routes(), [](std::string url) -> task<> {
    client c;
    const std::string good_trace(32, 'a'), good_span(16, 'b');
    const std::pair<std::string, std::string> wrong[] = {
        {"abc\r\nX-Evil: 1", good_span}, {std::string(32, '0'), good_span},  {std::string(32, 'A'), good_span},
        {good_trace + "a", good_span},   {good_trace, std::string(16, '0')}, {good_trace, "b"}};
    for (const auto& [trace, span] : wrong) {
      task<client_response> asking = current_request.bind(request_context("r-17", trace, span), c.get(url));
      client_response answer = co_await std::move(asking);
      EXPECT_EQ(answer.header("Echo-traceparent"), std::nullopt) << trace << " " << span;
      EXPECT_EQ(answer.header("Echo-X-Evil"), std::nullopt);
    }
    client_request own("GET", url);
    own.headers.emplace_back("X-Request-Timeout-Ms", "77");
    task<client_response> limited = with_timeout(10s, c.send(std::move(own)));
    client_response answer = co_await std::move(limited);
    EXPECT_EQ(answer.header("Echo-X-Request-Timeout-Ms"), "77");
  });
}

TEST(client, outside_a_task_says_so) { EXPECT_THROW(client(), error); }

TEST(client, that_is_closed_waits_for_requests_under_way_and_takes_no_more) {
  router routes = echo_routes();
  event asked, may_answer;
  routes.add("GET", "/slow", [&](request&) -> task<response> {
    asked.set();
    auto waiting = may_answer.wait();
    co_await waiting;
    co_return response::text(200, "at last");
  });
  with_server(std::move(routes), [&](std::string url) -> task<> {
    client c;
    std::vector<std::string> order;
    auto slow = [&]() -> task<> {
      client_response answer = co_await c.get(url + "/slow");
      order.push_back(answer.body);
    };
    auto close = [&]() -> task<> {
      co_await c.close();
      order.push_back("closed");
    };
    auto late = [&]() -> task<> {
      auto waiting = asked.wait();
      co_await waiting;
      co_await yield();  // the close has begun
      std::optional<client_errc> code;
      try {
        co_await c.get(url);
      } catch (const client_error& e) {
        code = e.errc();
      }
      EXPECT_EQ(code, client_errc::closed);
      order.push_back("refused");
      may_answer.set();
    };
    auto closing_meanwhile = [&]() -> task<> {
      auto waiting = asked.wait();
      co_await waiting;
      co_await close();
    };
    co_await gather(slow(), closing_meanwhile(), late());
    EXPECT_EQ(order, (std::vector<std::string>{"refused", "at last", "closed"}));
    co_await c.close();
    EXPECT_EQ(c.stats().in_flight, 0u);
  });
}

}  // namespace
}  // namespace penstock::http
