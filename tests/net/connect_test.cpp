#include "turns.h"
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/net/error.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>

#include <gtest/gtest.h>

namespace penstock::net {
namespace {

using namespace std::chrono_literals;

TEST(connect, a_refused_connection_names_the_endpoint) {
  auto body = []() -> task<> {
    endpoint gone = listen(endpoint::parse("127.0.0.1:0"))->local_endpoint();
    try {
      co_await connect(gone);
      ADD_FAILURE() << "connected to a closed port";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(net_errc::connect_failed));
      EXPECT_NE(std::string(e.what()).find(gone.to_string()), std::string::npos);
    }
  };
  run(body());
}

TEST(connect, a_missing_unix_socket_names_its_path) {
  auto body = []() -> task<> {
    try {
      co_await connect(endpoint::unix_socket("/nowhere/at/all.sock"));
      ADD_FAILURE() << "connected to nothing";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(net_errc::connect_failed));
      EXPECT_NE(std::string(e.what()).find("/nowhere/at/all.sock"), std::string::npos);
    }
  };
  run(body());
}

TEST(connect, resolves_a_host_name_off_the_loop) {
  auto body = []() -> task<> {
    auto at = listen(endpoint::parse("localhost:0"));
    auto s = co_await connect(endpoint::tcp("localhost", at->local_endpoint().port()));
    EXPECT_NE(s->remote_address().find(std::to_string(at->local_endpoint().port())), std::string::npos);
  };
  run(body());
}

// A listener whose queue is full leaves further connections unanswered.
task<> fill_queue(const endpoint& where, std::vector<std::unique_ptr<stream>>& held) {
  for (;;) {
    auto one = connect(where, {.timeout = 30ms});
    try {
      held.push_back(co_await std::move(one));
    } catch (const timed_out& e) {
      EXPECT_NE(std::string(e.what()).find(where.to_string()), std::string::npos);
      co_return;
    }
  }
}

TEST(connect, gives_up_after_its_timeout_and_names_the_endpoint) {
  auto body = []() -> task<> {
    auto at = listen(endpoint::parse("127.0.0.1:0"), {.backlog = 1});
    std::vector<std::unique_ptr<stream>> held;
    co_await fill_queue(at->local_endpoint(), held);
    EXPECT_LT(held.size(), 10u);
  };
  run(body());
}

TEST(connect, is_cancelled_at_any_turn_without_a_leak) {
  auto body = []() -> task<> {
    auto at = listen(endpoint::parse("localhost:0"));
    for (const char* host : {"127.0.0.1", "localhost"})
      for (int turns = 0; turns < 6; ++turns) {
        auto connecting = connect(endpoint::tcp(host, at->local_endpoint().port()));
        static_cast<void>(co_await cancelled_after_turns(turns, std::move(connecting)));
      }
    auto s = co_await connect(at->local_endpoint());
  };
  run(body());
}

TEST(connect, a_lookup_is_left_behind_when_its_task_is_destroyed) {
  auto body = []() -> task<> {
    task_group group;
    auto connecting = []() -> task<> {
      try {
        co_await connect(endpoint::parse("localhost:1"));
      } catch (const error&) {
      }
    };
    for (int i = 0; i < 8; ++i) group.start(connecting());
    co_await yield();
  };
  run(body());
}

}  // namespace
}  // namespace penstock::net
