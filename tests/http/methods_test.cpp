// HEAD, OPTIONS, and what is answered where no handler is; the Date of answers.

#include "test_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

std::string ask(std::string_view method, std::string_view target) {
  return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: t\r\n\r\n";
}

TEST(methods, head_is_get_without_the_body) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(ask("HEAD", "/abc") + get("/abc"));
    answer head = co_await c.receive(true);
    answer whole = co_await c.receive();
    EXPECT_EQ(head.head, whole.head);
    EXPECT_EQ(head.field("Content-Length"), "4");
    EXPECT_EQ(whole.body, "/abc");
  });
}

TEST(methods, a_handler_of_head_comes_before_that_of_get) {
  router routes = echo_routes();
  routes.add("HEAD", "/{any}", [](request&) -> task<response> { co_return response(204, ""); });
  with_server(std::move(routes), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(ask("HEAD", "/abc"));
    answer a = co_await c.receive(true);
    EXPECT_EQ(a.status, 204);
  });
}

TEST(methods, options_lists_what_the_path_has) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(ask("OPTIONS", "/x") + ask("OPTIONS", "*"));
    answer path = co_await c.receive();
    EXPECT_EQ(path.status, 204);
    EXPECT_EQ(path.field("Allow"), "GET, HEAD, POST, OPTIONS");
    answer whole_server = co_await c.receive();
    EXPECT_EQ(whole_server.status, 204);
  });
}

TEST(methods, another_method_is_405_with_allow) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(ask("DELETE", "/x"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 405);
    EXPECT_EQ(a.field("Allow"), "GET, HEAD, POST, OPTIONS");
    EXPECT_EQ(a.field("Content-Type"), "application/problem+json");
    EXPECT_THAT(a.body, HasSubstr(R"("code":"http.method_not_allowed")"));
  });
}

TEST(methods, an_unknown_path_is_404_unless_something_takes_the_rest) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/a/b"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 404);
    EXPECT_THAT(a.body, HasSubstr(R"("code":"http.not_found")"));
  });
  router routes;
  routes.otherwise(answer_hello);
  with_server(std::move(routes), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(ask("DELETE", "/a/b"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "hello");
  });
}

TEST(methods, a_refused_head_request_gets_no_content) {
  struct {
    int status;
    std::string sent;
  } cases[] = {
      {400, "HEAD /x HTTP/1.1\r\n\r\n"},
      {400, "HEAD /x HTTP/1.1\n\n"},
      {400, get("/x") + "HEAD x HTTP/1.1\r\nHost: t\r\n\r\n"},
      {413, "HEAD /x HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n"},
      {414, "\r\nHEAD /" + std::string(1000, 'x')},
      {414, get("/x") + "HEAD /" + std::string(1000, 'x')},
      {417, "HEAD /x HTTP/1.1\r\nHost: t\r\nExpect: the worst\r\n\r\n"},
      {431, "HEAD /x HTTP/1.1\r\nHost: t\r\nA: " + std::string(1000, 'x')},
      {408, "HEAD /x HTTP/1.1\r\nHost: t\r\n"},
  };
  for (const auto& one : cases) {
    server_options small{.max_request_line_bytes = 100, .max_header_bytes = 500, .max_body_bytes = 10};
    with_server(echo_routes(), small, [&](test_server& s) -> task<> {
      test_client c = s.connect();
      c.send(one.sent);
      if (one.sent.starts_with("GET")) co_await c.receive();
      answer a = co_await c.receive(true);
      EXPECT_EQ(a.status, one.status) << one.sent;
      EXPECT_NE(a.field("Content-Length"), "") << one.sent;
      task<std::string> content = c.receive_all();
      EXPECT_EQ(co_await std::move(content), "") << one.sent;
    });
  }
}

TEST(methods, a_refused_request_behind_a_head_request_gets_content) {
  for (const std::string& bad : {std::string("GET x HTTP/1.1\r\n\r\n"), "GET /" + std::string(10'000, 'x')}) {
    with_server(echo_routes(), {}, [&](test_server& s) -> task<> {
      test_client c = s.connect();
      c.send("HEAD /x HTTP/1.1\r\nHost: t\r\n\r\n" + bad);
      answer head = co_await c.receive(true);
      EXPECT_EQ(head.status, 200);
      answer a = co_await c.receive();
      EXPECT_TRUE(a.whole);
      EXPECT_THAT(a.body, HasSubstr("\"code\":\"http."));
    });
  }
}

TEST(methods, answers_carry_the_second_they_were_made_in) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    std::string seen;
    for (int i = 0; i < 4; ++i) {
      c.send(get("/x"));
      answer a = co_await c.receive();
      seen += a.field("Date") + "\n";
      EXPECT_EQ(a.count("Date"), 1u);
      co_await sleep_for(600ms);
    }
    EXPECT_EQ(seen,
              "Sat, 01 Jan 2000 00:00:00 GMT\nSat, 01 Jan 2000 00:00:00 GMT\n"
              "Sat, 01 Jan 2000 00:00:01 GMT\nSat, 01 Jan 2000 00:00:01 GMT\n");
  });
}

}  // namespace
}  // namespace penstock::http
