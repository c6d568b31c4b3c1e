#include "http/client_sockets.h"

#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

#include <chrono>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

// Both ends of a connection.
class socket_pair {
 public:
  socket_pair() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_) != 0) throw std::runtime_error("no socket pair");
  }
  socket_pair(const socket_pair&) = delete;
  socket_pair& operator=(const socket_pair&) = delete;
  ~socket_pair() {
    for (int end : ends_) ::close(end);
  }
  int near() const noexcept { return ends_[0]; }
  int far() const noexcept { return ends_[1]; }

 private:
  int ends_[2];
};

// Reads nothing of what has come; looks away after this many times.
struct patient_listener : client_sockets::listener {
  static constexpr int most = 10'000;

  void socket_ready(curl_socket_t socket, int ready) noexcept override {
    ++times;
    seen |= ready;
    if (times == most) sockets->watch(socket, CURL_POLL_REMOVE);
  }
  client_sockets* sockets = nullptr;
  int times = 0;
  int seen = 0;
};

TEST(client_sockets, one_that_is_always_ready_keeps_no_limit_from_a_loop_that_was_held_up) {
  socket_pair ends;
  ASSERT_EQ(::write(ends.far(), "x", 1), 1);
  auto body = [&]() -> task<> {
    patient_listener told;
    client_sockets sockets(net::event_loop::current(), told);
    told.sockets = &sockets;
    sockets.watch(ends.near(), CURL_POLL_INOUT);
    task_group limits;
    auto limit = []() -> task<> { co_await sleep_for(1ms); };
    limits.start(limit());
    co_await yield();
    auto until = std::chrono::steady_clock::now() + 200ms;
    while (std::chrono::steady_clock::now() < until) continue;  // as if the process was stopped
    task<void> passing = limits.join();
    co_await std::move(passing);
    EXPECT_LT(told.times, patient_listener::most);
    while (told.times < 2) co_await yield();
    EXPECT_EQ(told.seen, CURL_CSELECT_IN | CURL_CSELECT_OUT) << "it is told again and again";
  };
  net::run(body());
}

TEST(client_sockets, one_that_is_let_go_of_is_not_told_of_any_more) {
  socket_pair ends;
  ASSERT_EQ(::write(ends.far(), "x", 1), 1);
  auto body = [&]() -> task<> {
    patient_listener told;
    client_sockets sockets(net::event_loop::current(), told);
    for (int turns = 0; told.times == 0; ++turns) {
      sockets.watch(ends.near(), CURL_POLL_INOUT);
      for (int i = 0; i < turns; ++i) co_await yield();
      sockets.watch(ends.near(), CURL_POLL_REMOVE);
      int before = told.times;
      for (int i = 0; i < turns; ++i) co_await yield();
      EXPECT_EQ(told.times, before) << "after " << turns << " turns";
    }
  };
  net::run(body());
}

}  // namespace
}  // namespace penstock::http
