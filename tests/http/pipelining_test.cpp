// Requests sent before the answers to earlier ones (RFC 9112, 9.3.2).

#include "net/turns.h"
#include "test_server.h"
#include <penstock/async/gather.h>

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

TEST(pipelining, answers_come_in_order_and_in_one_write) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    std::string all;
    for (int i = 0; i < 20; ++i) all += get("/" + std::to_string(i));
    c.send(all);
    for (int i = 0; i < 20; ++i) {
      answer a = co_await c.receive();
      EXPECT_EQ(a.body, "/" + std::to_string(i));
    }
    EXPECT_EQ(c.server_writes(), 1u);
  });
}

TEST(pipelining, others_have_a_turn_between_the_answers) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    constexpr int requests = 80;
    bool done = false;
    int turns = 0;
    auto client = [&]() -> task<> {
      test_client c = s.connect();
      std::string all;
      for (int i = 0; i < requests; ++i) all += get("/");
      c.send(all);
      for (int i = 0; i < requests; ++i) co_await c.receive();
      done = true;
    };
    co_await gather(net::count_turns(turns, done), client());
    EXPECT_GE(turns, requests / 8);
  });
}

TEST(pipelining, a_slow_handler_keeps_the_order) {
  router routes = echo_routes();
  routes.add("GET", "/slow", [](request&) -> task<response> {
    co_await sleep_for(5s);
    co_return response::text(200, "slow");
  });
  with_server(std::move(routes), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/slow") + get("/fast"));
    answer first = co_await c.receive();
    answer second = co_await c.receive();
    EXPECT_EQ(first.body, "slow");
    EXPECT_EQ(second.body, "/fast");
  });
}

TEST(pipelining, requests_with_bodies_follow_one_another) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    std::string chunked = "POST /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n";
    c.send(post("/a", "one") + chunked + get("/three"));
    for (std::string wanted : {"one", "two", "/three"}) {
      answer a = co_await c.receive();
      EXPECT_EQ(a.body, wanted);
    }
    EXPECT_EQ(c.server_writes(), 1u);
  });
}

TEST(pipelining, gathered_answers_are_bounded) {
  with_server(echo_routes(), {.max_pipelined_bytes = 1000}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    std::string body(900, 'x');
    std::string all;
    for (int i = 0; i < 10; ++i) all += post("/a", body);
    c.send(all);
    for (int i = 0; i < 10; ++i) {
      answer a = co_await c.receive();
      EXPECT_EQ(a.body, body);
    }
    EXPECT_EQ(c.server_writes(), 10u);
  });
}

TEST(pipelining, a_malformed_request_is_refused_after_the_answers_before_it) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/good") + "GET /bad HTTP/1.1\r\nHost : t\r\n\r\n" + get("/never"));
    answer first = co_await c.receive();
    answer second = co_await c.receive();
    EXPECT_EQ(first.body, "/good");
    EXPECT_EQ(second.status, 400);
    EXPECT_EQ(second.field("Connection"), "close");
    EXPECT_TRUE(co_await c.closed());
  });
}

}  // namespace
}  // namespace penstock::http
