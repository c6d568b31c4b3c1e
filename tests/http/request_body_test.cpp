// Request bodies as handlers see them: whole or in pieces, of a length or in chunks, read or left alone.

#include "test_server.h"

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

const std::string chunked_head = "POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";

router one_route(handler h) {
  router routes;
  routes.add("POST", "/x", std::move(h));
  return routes;
}

TEST(request_body, of_a_length_is_read_whole) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    std::string body(300'000, 'b');
    c.send(post("/x", body));
    answer a = co_await c.receive();
    EXPECT_TRUE(a.body == body);
  });
}

TEST(request_body, of_chunks_is_put_together) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(chunked_head +
           "5\r\nhello\r\n1;name=\"v;\\\"\"\r\n,\r\n0006 ; a = b\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n");
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "hello, world");
  });
}

TEST(request_body, comes_piece_by_piece) {
  std::vector<std::string> pieces;
  router routes = one_route([&](request& r) -> task<response> {
    for (;;) {
      task<std::string_view> reading = r.body().read_some();
      std::string_view piece = co_await std::move(reading);
      if (piece.empty()) break;
      pieces.emplace_back(piece);
    }
    co_return response(204, "");
  });
  with_server(std::move(routes), {}, [&](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\n");
    for (std::string piece : {"ab", "cd", "ef"}) {
      c.send(piece);
      co_await settle();
      EXPECT_EQ(pieces.back(), piece);
    }
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 204);
    EXPECT_EQ(pieces.size(), 3u);
  });
}

TEST(request_body, tells_the_announced_length) {
  std::vector<std::optional<std::uint64_t>> lengths;
  router routes = one_route([&](request& r) -> task<response> {
    lengths.push_back(r.body().length());
    co_return response(204, "");
  });
  with_server(std::move(routes), {}, [&](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(post("/x", "four") + chunked_head + "0\r\n\r\n" + "POST /x HTTP/1.1\r\nHost: t\r\n\r\n");
    for (int i = 0; i < 3; ++i) co_await c.receive();
  });
  ASSERT_EQ(lengths.size(), 3u);
  EXPECT_EQ(lengths[0], 4u);
  EXPECT_EQ(lengths[1], std::nullopt);
  EXPECT_EQ(lengths[2], 0u);
}

TEST(request_body, left_unread_is_dropped_and_the_connection_stays) {
  router routes = echo_routes();
  routes.add("PUT", "/x", answer_hello);
  with_server(std::move(routes), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("PUT /x HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n");
    answer first = co_await c.receive();  // though the body is still to come
    EXPECT_EQ(first.body, "hello");
    EXPECT_EQ(first.field("Connection"), "");
    c.send(std::string(1000, '.') + get("/next"));
    answer second = co_await c.receive();
    EXPECT_EQ(second.body, "/next");
  });
}

TEST(request_body, left_unread_and_too_large_closes_after_the_answer) {
  router routes = one_route(answer_hello);
  with_server(std::move(routes), {.max_drained_bytes = 999}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n");
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "hello");
    EXPECT_EQ(a.field("Connection"), "close");
    EXPECT_TRUE(co_await c.closed());
  });
}

// Else the reset could overtake the answer (RFC 9112, 9.6).
TEST(request_body, longer_than_what_is_drained_leaves_the_client_time_to_read_the_answer) {
  router routes = one_route(answer_hello);
  with_server(std::move(routes), {.max_drained_bytes = 999}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n" + std::string(1'000'000, '.'));
    co_await settle();
    EXPECT_FALSE(c.server_is_gone());
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "hello");
    EXPECT_TRUE(co_await c.closed());
    co_await settle();
    EXPECT_FALSE(c.server_is_gone());
    co_await sleep_for(std::chrono::seconds(2));
    EXPECT_TRUE(c.server_is_gone());
    EXPECT_EQ(c.unread(), 0u);
  });
}

TEST(request_body, left_unread_and_malformed_closes_after_the_handlers_answer) {
  router routes = one_route(answer_hello);
  with_server(std::move(routes), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(chunked_head + "zz\r\n");
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 200);
    EXPECT_TRUE(co_await c.closed());
  });
}

TEST(request_body, malformed_where_it_is_read_is_answered_with_400) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(chunked_head + "5\r\nhello\r\nzz\r\n");
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 400);
    EXPECT_TRUE(co_await c.closed());
  });
}

TEST(request_body, cut_short_makes_the_read_throw) {
  std::string code;
  router routes = one_route([&](request& r) -> task<response> {
    try {
      task<std::string> reading = r.body().read_all(100);
      co_await std::move(reading);
    } catch (const error& e) {
      code = e.code();
      throw;
    }
    co_return response(204, "");
  });
  with_server(std::move(routes), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nfour");
    c.finish_sending();
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 400);
  });
  EXPECT_EQ(code, "http.body_incomplete");
}

TEST(request_body, longer_than_the_handler_takes_is_413) {
  router routes = one_route([](request& r) -> task<response> {
    task<std::string> reading = r.body().read_all(10);
    std::string body = co_await std::move(reading);
    co_return response::text(200, std::move(body));
  });
  with_server(std::move(routes), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(post("/x", "0123456789"));
    answer fits = co_await c.receive();
    EXPECT_EQ(fits.status, 200);
    c.send(post("/x", "0123456789a"));
    answer too_long = co_await c.receive();
    EXPECT_EQ(too_long.status, 413);
  });
}

TEST(request_body, a_read_that_was_cancelled_can_be_repeated) {
  using namespace std::chrono_literals;
  router routes = one_route([](request& r) -> task<response> {
    bool timed = false;
    try {
      task<std::string> reading = with_timeout(1s, r.body().read_all(100));
      co_await std::move(reading);
    } catch (const timed_out&) {
      timed = true;
    }
    task<std::string> again = r.body().read_all(100);
    std::string body = co_await std::move(again);
    co_return response::text(200, (timed ? "late " : "") + body);
  });
  with_server(std::move(routes), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n");
    co_await sleep_for(2s);
    c.send("body");
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "late body");
  });
}

}  // namespace
}  // namespace penstock::http
