// Where an answer ends, and what stands behind it: nothing of another's, and what it held is let go.

#include "test_server.h"
#include <penstock/observe/log_capture.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using ::testing::EndsWith;

router streaming(response::producer producer) {
  router routes;
  routes.add("GET", "/s", [producer](request&) -> task<response> {
    response r(200, "");
    r.stream = producer;
    co_return r;
  });
  routes.add("GET", "/next", answer_path);
  return routes;
}

TEST(answer_end, of_one_that_broke_off_is_that_of_the_connection) {
  log::capture logged;
  auto producer = [](body_writer& out) -> task<> {
    task<> writing = out.write("begun");
    co_await std::move(writing);
    throw std::runtime_error("the source dried up");
  };
  with_server(streaming(producer), {}, [](test_server& s) -> task<> {
    time_point began = scheduler::current().now();
    test_client c = s.connect();
    c.send(get("/s") + get("/next"));
    task<std::string> reading = c.receive_all();
    std::string all = co_await std::move(reading);
    EXPECT_THAT(all, EndsWith("\r\n\r\n5\r\nbegun\r\n"));
    EXPECT_EQ(scheduler::current().now(), began);
  });
}

TEST(answer_end, is_not_made_by_an_empty_piece) {
  auto producer = [](body_writer& out) -> task<> {
    for (std::string_view piece : {"", "one", "", "two", ""}) {
      task<> writing = out.write(piece);
      co_await std::move(writing);
    }
  };
  with_server(streaming(producer), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/s") + get("/next"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "onetwo");
    EXPECT_TRUE(a.whole);
    answer next = co_await c.receive();
    EXPECT_EQ(next.body, "/next");
  });
}

TEST(answer_end, nothing_follows_a_piece_that_was_sent_in_part) {
  log::capture logged;
  std::string first, second;
  auto write = [](body_writer& out, std::string piece, std::string& code) -> task<> {
    try {
      task<> writing = out.write(piece);
      co_await std::move(writing);
    } catch (const error& e) {
      code = e.code();
    }
  };
  auto producer = [&](body_writer& out) -> task<> {
    task<> cut = write(out, std::string(10'000, 'p'), first);
    co_await std::move(cut);
    co_await sleep_for(10s);
    task<> behind = write(out, "behind", second);
    co_await std::move(behind);
  };
  with_server(streaming(producer), {.write_timeout = 10s}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.take_at_most(1000);
    c.send(get("/s"));
    co_await sleep_for(15s);
    c.take_at_most(std::string::npos);
    task<std::string> reading = c.receive_all();
    std::string all = co_await std::move(reading);
    EXPECT_EQ(all.size(), 1000u);
  });
  EXPECT_EQ(first, "net.connection_closed");
  EXPECT_EQ(second, "net.connection_closed");
}

TEST(answer_end, what_an_answer_holds_is_let_go_when_it_was_sent) {
  std::weak_ptr<int> held;
  router routes;
  routes.add("GET", "/x", [&](request&) -> task<response> {
    auto holds = std::make_shared<int>(1);
    held = holds;
    response r = response::text(200, std::string(1000, 'x'));
    r.held = std::move(holds);
    co_return r;
  });
  with_server(std::move(routes), {}, [&](test_server& s) -> task<> {
    test_client c = s.connect();
    c.take_at_most(100);
    c.send(get("/x"));
    co_await sleep_for(1s);
    EXPECT_FALSE(held.expired());
    c.take_at_most(std::string::npos);
    answer a = co_await c.receive();
    EXPECT_EQ(a.body.size(), 1000u);
    co_await settle();
    EXPECT_TRUE(held.expired());
    EXPECT_EQ(s.server.stats().open_connections, 1u);
  });
}

}  // namespace
}  // namespace penstock::http
