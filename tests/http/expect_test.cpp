// Expect: 100-continue (RFC 9110, 10.1.1).

#include "test_server.h"

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

const std::string waiting_post = "POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

TEST(expect, continue_is_sent_once_when_the_handler_reads) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(waiting_post);
    answer interim = co_await c.receive();
    EXPECT_EQ(interim.status, 100);
    c.send("bo");
    co_await settle();
    c.send("dy");
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.body, "body");
  });
}

TEST(expect, continue_is_not_sent_before_the_handler_reads) {
  router routes;
  routes.add("POST", "/x", [](request& r) -> task<response> {
    co_await sleep_for(5s);
    task<response> echoing = echo_body(r);
    co_return co_await std::move(echoing);
  });
  with_server(std::move(routes), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(waiting_post);
    co_await sleep_for(4s);
    EXPECT_EQ(c.arrived(), "");
    answer interim = co_await c.receive();
    EXPECT_EQ(interim.status, 100);
    c.send("body");
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "body");
  });
}

TEST(expect, a_handler_that_does_not_read_answers_at_once_and_the_connection_closes) {
  router routes;
  routes.add("POST", "/x", answer_hello);
  with_server(std::move(routes), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(waiting_post);
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.field("Connection"), "close");
    EXPECT_TRUE(co_await c.closed());
  });
}

TEST(expect, continue_is_left_out_when_the_body_has_come) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(waiting_post + "body");
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.body, "body");
  });
}

TEST(expect, something_else_is_417) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(post("/x", "body", "Expect: 200-ok\r\n"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 417);
  });
}

TEST(expect, is_ignored_in_http_1_0) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /x HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    co_await settle();
    EXPECT_EQ(c.arrived(), "");
    c.send("body");
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "body");
  });
}

}  // namespace
}  // namespace penstock::http
