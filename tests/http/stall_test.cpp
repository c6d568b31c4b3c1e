// What a client has sent while the loop was held up, by a stop of the process say, came in time.

#include "test_server.h"
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>

#include <chrono>

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

void hold_the_loop_up(std::chrono::milliseconds so_long) {
  auto until = std::chrono::steady_clock::now() + so_long;
  while (std::chrono::steady_clock::now() < until) {
  }
}

task<> send(net::stream& to, std::string text) {
  task<> writing = to.write(net::bytes_of(text));
  co_await std::move(writing);
}

// The status of the next answer, whose head and body come in one piece; 0 at the end of the connection.
task<int> next_status(net::stream& from) {
  std::vector<std::byte> buffer(4096);
  std::size_t n = 0;
  try {
    task<std::size_t> reading = from.read_some(buffer);
    n = co_await std::move(reading);
  } catch (const error&) {
    co_return 0;
  }
  co_return n == 0 ? 0 : std::atoi(reinterpret_cast<const char*>(buffer.data()) + 9);
}

// A server on loopback whose handlers count that they start, and wait.
class stall : public ::testing::Test {
 protected:
  template <class Body>
  void serve(const server_options& options, Body body) {
    auto waits = [this](request&) -> task<response> {
      ++started_;
      co_await sleep_for(1ms);
      co_return response::text(200, "waited");
    };
    auto reads = [this](request& r) -> task<response> {
      ++started_;
      task<response> echo = echo_body(r);
      co_return co_await std::move(echo);
    };
    router routes;
    routes.add("GET", "/x", waits);
    routes.add("POST", "/x", reads);
    server s(std::move(routes), options);
    auto beside = [&]() -> task<> {
      std::unique_ptr<net::listener> at = net::listen(net::endpoint::parse("127.0.0.1:0"));
      auto both = [&](task_group& group) -> task<> {
        group.start(s.serve(*at));
        task<std::unique_ptr<net::stream>> connecting = net::connect(at->local_endpoint());
        std::unique_ptr<net::stream> client = co_await std::move(connecting);
        task<> running = body(*client);
        co_await std::move(running);
        s.stop();
      };
      task<> whole = with_task_group(both);
      co_await std::move(whole);
    };
    net::run(beside());
  }

  int started_ = 0;
};

TEST_F(stall, a_request_that_came_meanwhile_is_answered_by_an_idle_connection) {
  serve({.idle_timeout = 100ms}, [&](net::stream& client) -> task<> {
    for (int round = 0; round < 3; ++round) {
      task<> sending = send(client, get("/x"));
      co_await std::move(sending);
      if (round > 0) hold_the_loop_up(200ms);
      task<int> answered = next_status(client);
      EXPECT_EQ(co_await std::move(answered), 200) << round;
    }
  });
  EXPECT_EQ(started_, 3);
}

TEST_F(stall, a_body_that_came_meanwhile_came_in_time) {
  serve({.body_timeout = 100ms}, [&](net::stream& client) -> task<> {
    task<> beginning = send(client, "POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nfo");
    co_await std::move(beginning);
    while (started_ == 0) co_await yield();
    task<> ending = send(client, "ur");
    co_await std::move(ending);
    hold_the_loop_up(200ms);
    task<int> answered = next_status(client);
    EXPECT_EQ(co_await std::move(answered), 200);
    task<> again = send(client, get("/x"));
    co_await std::move(again);
    task<int> next = next_status(client);
    EXPECT_EQ(co_await std::move(next), 200);
  });
}

}  // namespace
}  // namespace penstock::http
