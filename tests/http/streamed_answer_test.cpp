// Answers whose body is produced while it is sent.

#include "test_server.h"
#include <penstock/observe/log_capture.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

router streaming(response::producer producer, int status = 200) {
  router routes;
  routes.add("GET", "/s", [producer, status](request&) -> task<response> {
    response r(status, "");
    r.stream = producer;
    co_return r;
  });
  routes.add("GET", "/next", answer_path);
  return routes;
}

task<> write_three(body_writer& out) {
  for (std::string_view piece : {"one,", "two,", "three"}) {
    task<> writing = out.write(piece);
    co_await std::move(writing);
    co_await sleep_for(1s);
  }
}

task<> write_and_fail(body_writer& out) {
  task<> writing = out.write("begun");
  co_await std::move(writing);
  throw std::runtime_error("the source dried up");
}

TEST(streamed_answer, is_chunked_and_keeps_the_connection) {
  with_server(streaming(write_three), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/s"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "one,two,three");
    EXPECT_TRUE(a.whole);
    EXPECT_EQ(a.field("Transfer-Encoding"), "chunked");
    EXPECT_EQ(a.field("Content-Length"), "");
    c.send(get("/next"));
    answer next = co_await c.receive();
    EXPECT_EQ(next.body, "/next");
  });
}

TEST(streamed_answer, pieces_are_sent_as_they_are_written) {
  with_server(streaming(write_three), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/s"));
    co_await sleep_for(500ms);
    EXPECT_THAT(std::string(c.arrived()), HasSubstr("\r\n\r\n4\r\none,\r\n"));
    co_await sleep_for(1s);
    EXPECT_THAT(std::string(c.arrived()), HasSubstr("4\r\ntwo,\r\n"));
  });
}

TEST(streamed_answer, to_http_1_0_ends_by_closing) {
  with_server(streaming(write_three), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "one,two,three");
    EXPECT_EQ(a.field("Transfer-Encoding"), "");
    EXPECT_EQ(a.field("Connection"), "close");
  });
}

TEST(streamed_answer, to_head_has_no_body_and_calls_no_producer) {
  bool called = false;
  auto producer = [&](body_writer&) -> task<> {
    called = true;
    co_return;
  };
  with_server(streaming(producer), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("HEAD /s HTTP/1.1\r\nHost: t\r\n\r\n" + get("/next"));
    answer head = co_await c.receive(true);
    EXPECT_EQ(head.field("Transfer-Encoding"), "chunked");
    answer next = co_await c.receive();
    EXPECT_EQ(next.body, "/next");
  });
  EXPECT_FALSE(called);
}

TEST(streamed_answer, of_a_status_without_body_has_none) {
  for (int status : {204, 304}) {
    with_server(streaming(write_three, status), {}, [&](test_server& s) -> task<> {
      test_client c = s.connect();
      c.send(get("/s") + get("/next"));
      answer a = co_await c.receive();
      EXPECT_EQ(a.status, status);
      EXPECT_EQ(a.field("Transfer-Encoding"), "");
      EXPECT_EQ(a.field("Content-Length"), "");
      answer next = co_await c.receive();
      EXPECT_EQ(next.body, "/next");
    });
  }
}

TEST(streamed_answer, a_producer_that_throws_breaks_it_off_visibly) {
  log::capture logged;
  with_server(streaming(write_and_fail), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/s", "X-Request-Id: broken-1\r\n"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "begun");
    EXPECT_FALSE(a.whole);
    EXPECT_TRUE(co_await c.closed());
  });
  EXPECT_THAT(logged.text(), HasSubstr("answer broke off"));
  EXPECT_THAT(logged.text(), HasSubstr("broken-1"));
  EXPECT_THAT(logged.text(), HasSubstr("the source dried up"));
}

TEST(streamed_answer, that_breaks_off_is_reset_where_its_end_is_that_of_the_connection) {
  log::capture logged;
  with_server(streaming(write_and_fail), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("GET /s HTTP/1.0\r\n\r\n");
    co_await c.receive();
    EXPECT_TRUE(co_await c.closed());
    EXPECT_TRUE(c.was_reset());
  });
  EXPECT_THAT(logged.text(), HasSubstr("the source dried up"));
}

TEST(streamed_answer, whose_slow_reader_is_left_is_reset_too) {
  auto write_much = [](body_writer& out) -> task<> {
    for (;;) {
      task<> writing = out.write("a piece of it");
      co_await std::move(writing);
    }
  };
  with_server(streaming(write_much), {.write_timeout = 10s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.take_at_most(1000);
    c.send("GET /s HTTP/1.0\r\n\r\n");
    co_await sleep_for(11s);
    EXPECT_TRUE(c.was_reset());
    EXPECT_EQ(s.server.stats().open_connections, 0u);
  });
}

TEST(streamed_answer, a_producer_that_throws_before_it_writes_is_answered_like_a_handler) {
  log::capture logged;
  auto fail = [](body_writer&) -> task<> {
    throw std::runtime_error("the source was dry");
    co_return;
  };
  with_server(streaming(fail), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/next") + get("/s") + get("/next"));
    answer before = co_await c.receive();
    EXPECT_EQ(before.body, "/next");
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 500);
    EXPECT_EQ(a.field("Transfer-Encoding"), "");
    EXPECT_THAT(a.body, HasSubstr("http.internal_error"));
    answer next = co_await c.receive();
    EXPECT_EQ(next.body, "/next");
    test_client old = s.connect();
    old.send("GET /s HTTP/1.0\r\n\r\n");
    answer b = co_await old.receive();
    EXPECT_EQ(b.status, 500);
    EXPECT_FALSE(old.was_reset());
  });
  EXPECT_THAT(logged.text(), HasSubstr("the source was dry"));
}

// A producer that passes the request's body on.
router echoing() {
  router routes;
  routes.add("POST", "/echo", [](request& r) -> task<response> {
    response answer(200, "");
    answer.stream = [&r](body_writer& out) -> task<> {
      for (;;) {
        task<std::string_view> reading = r.body().read_some();
        std::string_view piece = co_await std::move(reading);
        if (piece.empty()) co_return;
        task<> writing = out.write(piece);
        co_await std::move(writing);
      }
    };
    co_return answer;
  });
  return routes;
}

TEST(streamed_answer, passes_a_body_on_that_comes_meanwhile) {
  with_server(echoing(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\n");
    co_await settle();
    EXPECT_THAT(std::string(c.arrived()), HasSubstr("200 OK"));
    c.send("abc");
    co_await settle();
    c.send("def" + post("/echo", "next"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "abcdef");
    answer next = co_await c.receive();
    EXPECT_EQ(next.body, "next");
  });
}

TEST(streamed_answer, no_100_continue_stands_behind_its_head) {
  with_server(echoing(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    co_await settle();
    EXPECT_THAT(std::string(c.arrived()), HasSubstr("200 OK"));
    c.send("abc");
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.body, "abc");
    EXPECT_TRUE(a.whole);
  });
}

TEST(streamed_answer, whose_body_can_not_be_read_breaks_off_behind_its_head) {
  log::capture logged;
  auto of_a_bad_body = [](std::string version, bool of_head) {
    with_server(echoing(), {}, [&](test_server& s) -> task<> {
      test_client c = s.connect();
      if (of_head) c.send(post("/echo", "whole"));
      c.send("POST /echo HTTP/" + version + "\r\nHost: t\r\nContent-Length: 9\r\n\r\n");
      co_await settle();
      c.finish_sending();
      if (of_head) co_await c.receive();
      task<std::string> reading = c.receive_all();
      std::string all = co_await std::move(reading);
      EXPECT_EQ(all.find('\0'), all.npos);
      EXPECT_EQ(all.find("HTTP/1.1", 1), all.npos) << all;
      EXPECT_THAT(all, EndsWith("\r\n\r\n"));
      EXPECT_THAT(all, Not(HasSubstr("0\r\n\r\n")));
      EXPECT_EQ(c.was_reset(), version == "1.0");
    });
  };
  for (bool behind_another : {false, true}) {
    of_a_bad_body("1.1", behind_another);
    of_a_bad_body("1.0", behind_another);
  }
  EXPECT_THAT(logged.text(), HasSubstr("answer broke off"));
  EXPECT_THAT(logged.text(), HasSubstr("the connection ended inside the body"));
}

TEST(streamed_answer, that_breaks_off_for_what_the_client_did_to_its_body_is_no_error_of_ours) {
  struct {
    const char* framing;
    std::string_view piece;
    void (*ends)(test_client&);
  } cases[] = {
      {"Content-Length: 9\r\n", "some", [](test_client& c) { c.finish_sending(); }},
      {"Content-Length: 9\r\n", "some", [](test_client& c) { c.reset(); }},
      {"Content-Length: 9\r\n", "some", [](test_client&) {}},
      {"Transfer-Encoding: chunked\r\n", "4\r\nsome\r\n", [](test_client& c) { c.send("zz\r\n"); }},
  };
  for (const auto& one : cases) {
    log::capture logged(log::line_format::text, log::level::info);
    with_server(echoing(), {.body_timeout = 10s}, [&](test_server& s) -> task<> {
      test_client c = s.connect();
      c.send("POST /echo HTTP/1.1\r\nHost: t\r\n" + std::string(one.framing) + "\r\n" + std::string(one.piece));
      co_await settle();
      EXPECT_THAT(std::string(c.arrived()), HasSubstr("some"));
      one.ends(c);
      answer a = co_await c.receive();
      EXPECT_FALSE(a.whole);
      co_await sleep_for(30s);
      EXPECT_EQ(s.server.stats().open_connections, 0u);
    });
    EXPECT_EQ(logged.text(), "") << one.framing;
  }
}

TEST(streamed_answer, whose_body_is_malformed_before_anything_was_sent_is_a_400) {
  log::capture logged;
  with_server(echoing(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 400);
    EXPECT_TRUE(a.whole);
    EXPECT_TRUE(co_await c.closed());
  });
}

TEST(streamed_answer, writing_to_a_client_that_left_throws_and_logs_nothing) {
  log::capture logged(log::line_format::text, log::level::info);
  std::string code;
  auto producer = [&](body_writer& out) -> task<> {
    try {
      for (;;) {
        task<> writing = out.write("more");
        co_await std::move(writing);
        co_await sleep_for(1s);
      }
    } catch (const error& e) {
      code = e.code();
      throw;
    }
  };
  with_server(streaming(producer), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/s"));
    co_await sleep_for(3s);
    c.reset();
    co_await sleep_for(3s);
    EXPECT_EQ(s.server.stats().open_connections, 0u);
  });
  EXPECT_EQ(code, "net.connection_closed");
  EXPECT_EQ(logged.text(), "");
}

TEST(streamed_answer, waits_for_a_slow_client_up_to_the_write_timeout) {
  std::size_t written = 0;
  std::string code;
  auto producer = [&](body_writer& out) -> task<> {
    std::string piece(1000, 'p');
    try {
      for (; written < 100; ++written) {
        task<> writing = out.write(piece);
        co_await std::move(writing);
      }
    } catch (const error& e) {
      code = e.code();
      throw;
    }
  };
  with_server(streaming(producer), {.write_timeout = 10s}, [&](test_server& s) -> task<> {
    test_client c = s.connect();
    c.take_at_most(5000);
    c.send(get("/s"));
    co_await sleep_for(5s);
    EXPECT_EQ(written, 4u);
    c.arrived();
    co_await sleep_for(9s);
    EXPECT_GT(written, 4u);
    EXPECT_LT(written, 10u);
    co_await sleep_for(2s);
    EXPECT_EQ(s.server.stats().open_connections, 0u);
  });
  EXPECT_EQ(code, "net.connection_closed");
}

}  // namespace
}  // namespace penstock::http
