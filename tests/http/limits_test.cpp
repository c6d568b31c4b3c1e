// Each limit of a server, in virtual time.

#include "test_server.h"

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

// The status of the only answer, after which the connection has to end.
task<int> only_answer(test_client& c) {
  answer a = co_await c.receive();
  EXPECT_TRUE(co_await c.closed());
  co_return a.status;
}

int status_for(const server_options& options, const std::string& sent) {
  int status = 0;
  with_server(echo_routes(), options, [&](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(sent);
    answer a = co_await c.receive();
    status = a.status;
    EXPECT_EQ(a.field("Connection"), status == 200 ? "" : "close");
    if (status != 200) {
      EXPECT_TRUE(co_await c.closed());
    }
  });
  return status;
}

TEST(limits, a_request_line_may_be_so_long) {
  std::string line = "GET /" + std::string(100 - 5 - 9, 'p') + " HTTP/1.1";  // 100 bytes before its end
  EXPECT_EQ(status_for({.max_request_line_bytes = 100}, line + "\r\nHost: t\r\n\r\n"), 200);
  EXPECT_EQ(status_for({.max_request_line_bytes = 99}, line + "\r\nHost: t\r\n\r\n"), 414);
  EXPECT_EQ(status_for({.max_request_line_bytes = 99}, line + "\nHost: t\r\n\r\n"), 414);
}

TEST(limits, a_request_line_just_as_long_as_it_may_be_is_waited_for) {
  with_server(echo_routes(), {.max_request_line_bytes = 100}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    for (char ch : "GET /" + std::string(100 - 5 - 9, 'p') + " HTTP/1.1\r\nHost: t\r\n\r\n") {
      c.send(std::string(1, ch));
      co_await settle();
    }
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 200);
  });
}

TEST(limits, a_request_line_without_end_is_refused_when_it_is_too_long) {
  EXPECT_EQ(status_for({.max_request_line_bytes = 100}, "GET /" + std::string(100, 'p')), 414);
  EXPECT_EQ(status_for({.max_request_line_bytes = 100}, "GET /" + std::string(96, 'p')), 414);
  EXPECT_EQ(status_for({.max_request_line_bytes = 100}, "GET /" + std::string(96, 'p') + "\r"), 414);
}

// It waits for an answer itself, as a client of TLS does, and sends no end of a head.
TEST(limits, what_can_be_no_request_is_not_waited_for) {
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00", 7);
  for (const std::string& sent : {hello, std::string("\0\0\0\x2f", 4), std::string(" GET /x")}) {
    with_server(echo_routes(), {}, [&](test_server& s) -> task<> {
      time_point began = scheduler::current().now();
      test_client c = s.connect();
      c.send(sent);
      answer a = co_await c.receive();
      EXPECT_EQ(a.status, 400);
      EXPECT_EQ(a.body.find("use http://") != std::string::npos, sent == hello) << a.body;
      EXPECT_EQ(scheduler::current().now(), began);
    });
  }
}

TEST(limits, a_header_section_may_be_so_long) {
  std::string head = get("/", "A: " + std::string(50, 'a') + "\r\n");
  head.replace(4, 1, "/x");
  EXPECT_EQ(status_for({.max_header_bytes = head.size()}, head), 200);
  EXPECT_EQ(status_for({.max_header_bytes = head.size() - 1}, head), 431);
  std::string endless = head.substr(0, head.size() - 2) + "B: " + std::string(200, 'b');
  EXPECT_EQ(status_for({.max_header_bytes = 200}, endless), 431);
}

TEST(limits, a_header_section_may_have_so_many_fields) {
  EXPECT_EQ(status_for({.max_header_fields = 3}, get("/x", "A: 1\r\nB: 2\r\n")), 200);
  EXPECT_EQ(status_for({.max_header_fields = 3}, get("/x", "A: 1\r\nB: 2\r\nC: 3\r\n")), 431);
}

TEST(limits, a_body_may_be_so_long) {
  std::string chunked = "POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_for({.max_body_bytes = 4}, post("/x", "four")), 200);
  EXPECT_EQ(status_for({.max_body_bytes = 3}, post("/x", "four")), 413);
  EXPECT_EQ(status_for({.max_body_bytes = 4}, chunked + "2\r\nfo\r\n2\r\nur\r\n0\r\n\r\n"), 200);
  EXPECT_EQ(status_for({.max_body_bytes = 3}, chunked + "2\r\nfo\r\n2\r\nur\r\n0\r\n\r\n"), 413);
  EXPECT_EQ(status_for({}, chunked + "ffffffffffffffff\r\n"), 413);
  EXPECT_EQ(status_for({}, chunked + "10000000000000000\r\n"), 400);
}

TEST(limits, a_head_must_come_in_time_however_it_trickles) {
  duration took = with_server(echo_routes(), {.header_timeout = 10s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    for (char ch : std::string("GET /abcdefghi")) {
      c.send(std::string(1, ch));
      co_await sleep_for(1s);
    }
    EXPECT_EQ(co_await only_answer(c), 408);
  });
  EXPECT_LT(took, 20s);
}

TEST(limits, an_idle_connection_closes_without_an_answer) {
  with_server(echo_routes(), {.idle_timeout = 75s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/x"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 200);
    co_await sleep_for(74s);
    c.send(get("/x"));
    answer b = co_await c.receive();
    EXPECT_EQ(b.status, 200);
    time_point idle_since = scheduler::current().now();
    EXPECT_EQ(co_await only_answer(c), 0);
    EXPECT_EQ(scheduler::current().now() - idle_since, 75s);
  });
}

TEST(limits, empty_lines_do_not_keep_a_connection_from_being_idle) {
  with_server(echo_routes(), {.idle_timeout = 10s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    for (int i = 0; i < 11; ++i) {
      c.send("\r\n");
      co_await sleep_for(1s);
    }
    EXPECT_EQ(s.server.stats().open_connections, 0u);
    EXPECT_TRUE(co_await c.closed());
  });
}

TEST(limits, a_body_that_stalls_fails_the_read_and_is_408) {
  std::string code;
  bool unwound = false;
  router routes;
  routes.add("POST", "/x", [&](request& r) -> task<response> {
    std::exception_ptr failure;
    try {
      task<std::string> reading = r.body().read_all(100);
      co_await std::move(reading);
    } catch (const error& e) {
      code = e.code();
      failure = std::current_exception();
    }
    co_await sleep_for(1s);  // a handler's clean-up is not cancelled
    unwound = true;
    if (failure) std::rethrow_exception(failure);
    co_return response(204, "");
  });
  with_server(std::move(routes), {.body_timeout = 30s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nab");
    co_await sleep_for(29s);
    c.send("cd");
    co_await sleep_for(29s);
    EXPECT_EQ(c.arrived(), "");
    EXPECT_EQ(co_await only_answer(c), 408);
  });
  EXPECT_EQ(code, "http.request_timeout");
  EXPECT_TRUE(unwound);
}

TEST(limits, the_rest_of_a_dropped_body_must_come_in_time) {
  router routes;
  routes.add("POST", "/x", answer_hello);
  with_server(std::move(routes), {.body_timeout = 30s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    time_point began = scheduler::current().now();
    c.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nab");
    EXPECT_EQ(co_await only_answer(c), 200);
    EXPECT_EQ(scheduler::current().now() - began, 30s);
  });
}

TEST(limits, no_request_follows_a_body_that_did_not_come_though_it_was_answered) {
  router routes;
  routes.add("POST", "/x", [](request& r) -> task<response> {
    try {
      task<std::string> reading = r.body().read_all(100);
      co_await std::move(reading);
    } catch (const protocol_error&) {  // it answers all the same
    }
    co_return response(204, "");
  });
  with_server(std::move(routes), {.body_timeout = 30s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nab");
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 204);
    EXPECT_EQ(a.field("Connection"), "close");
    EXPECT_TRUE(co_await c.closed());
  });
}

TEST(limits, a_handler_has_its_time_after_it_has_read_a_body_that_came_in_pieces) {
  router routes;
  routes.add("POST", "/x", [](request& r) -> task<response> {
    task<std::string> reading = r.body().read_all(100);
    std::string body = co_await std::move(reading);
    co_await sleep_for(1h);
    co_return response::text(200, std::move(body));
  });
  with_server(std::move(routes), {.body_timeout = 30s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nfo");
    co_await sleep_for(1s);
    c.send("ur");
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "four");
  });
}

TEST(limits, a_client_that_sends_no_head_and_takes_no_answer_is_left) {
  with_server(echo_routes(), {.header_timeout = 10s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.take_at_most(10);
    c.send("GET /x HTT");
    co_await sleep_for(13s);
    EXPECT_EQ(s.server.stats().open_connections, 0u);
  });
}

TEST(limits, a_client_that_takes_nothing_is_left) {
  router routes;
  routes.add("GET", "/x", [](request&) -> task<response> { co_return response::text(200, std::string(100'000, 'x')); });
  duration took = with_server(std::move(routes), {.write_timeout = 30s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.take_at_most(1000);
    c.send(get("/x"));
    co_await sleep_for(29s);
    EXPECT_EQ(s.server.stats().open_connections, 1u);
    co_await sleep_for(2s);
    EXPECT_EQ(s.server.stats().open_connections, 0u);
  });
  EXPECT_LT(took, 35s);
}

TEST(limits, a_client_that_takes_a_few_bytes_at_a_time_is_kept_until_it_takes_none) {
  router routes;
  routes.add("GET", "/x", [](request&) -> task<response> { co_return response::text(200, std::string(10'000, 'x')); });
  with_server(std::move(routes), {.write_timeout = 30s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.take_at_most(100);
    c.send(get("/x"));
    for (int i = 0; i < 20; ++i) {
      co_await sleep_for(29s);
      c.arrived();
    }
    EXPECT_EQ(s.server.stats().open_connections, 1u);
    co_await sleep_for(61s);
    EXPECT_EQ(s.server.stats().open_connections, 0u);
  });
}

TEST(limits, one_connection_is_always_taken) { EXPECT_EQ(status_for({.max_connections = 0}, get("/x")), 200); }

TEST(limits, more_connections_wait_until_one_has_ended) {
  with_server(echo_routes(), {.max_connections = 2}, [](test_server& s) -> task<> {
    test_client a = s.connect();
    test_client b = s.connect();
    test_client c = s.connect();
    c.send(get("/c"));
    co_await settle();
    EXPECT_EQ(c.arrived(), "");
    EXPECT_EQ(s.server.stats().open_connections, 2u);
    a.reset();
    answer late = co_await c.receive();
    EXPECT_EQ(late.body, "/c");
  });
}

// A connection that closes over what it has not read is reset, and takes the answer with it.
TEST(limits, a_refused_client_has_time_to_read_why) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    time_point began = scheduler::current().now();
    c.send("nonsense\r\n\r\n");
    EXPECT_EQ(co_await only_answer(c), 400);
    EXPECT_EQ(scheduler::current().now(), began);
    EXPECT_FALSE(c.server_is_gone());
    c.finish_sending();
    co_await settle();
    EXPECT_TRUE(c.server_is_gone());
  });
}

TEST(limits, a_refused_client_is_not_listened_to_for_long) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("nonsense\r\n\r\n");
    for (int i = 0; i < 30 && s.server.stats().open_connections > 0; ++i) {
      c.send("x");
      co_await sleep_for(100ms);
    }
    EXPECT_EQ(s.server.stats().open_connections, 0u);
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 400);
    EXPECT_TRUE(co_await c.closed());
  });
}

}  // namespace
}  // namespace penstock::http
