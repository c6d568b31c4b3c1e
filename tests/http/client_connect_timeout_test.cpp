// A connection that is not made in time, over a network that drops what opens one.

#include "client_peers.h"

#include <array>
#include <string_view>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

class descriptor {
 public:
  explicit descriptor(int number) : number_(number) {
    if (number_ < 0) throw std::runtime_error("no socket");
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() { ::close(number_); }
  int get() const noexcept { return number_; }

 private:
  int number_;
};

// Listens on loopback with room for one connection that waits to be accepted: further ones are as with a host that
// does not answer, for Linux drops what opens them.
class narrow_listener {
 public:
  narrow_listener() {
    socklen_t length = sizeof(address_);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* there = reinterpret_cast<sockaddr*>(&address_);
    if (::bind(listening_.get(), there, length) != 0 || ::listen(listening_.get(), 0) != 0 ||
        ::getsockname(listening_.get(), there, &length) != 0)
      throw std::runtime_error("cannot listen on 127.0.0.1");
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(ntohs(address_.sin_port)) + "/"; }
  int accept() const { return ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC); }

  void fill() {
    if (::connect(waiting_.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof(address_)) != 0)
      throw std::runtime_error("cannot connect to 127.0.0.1");
    pollfd accepting{listening_.get(), POLLIN, 0};
    ::poll(&accepting, 1, -1);
  }

 private:
  sockaddr_in address_{};
  descriptor listening_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  descriptor waiting_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

TEST(client_connect_timeout, says_that_nothing_was_sent) {
  narrow_listener at;
  at.fill();
  auto body = [&]() -> task<> {
    client c({.connect_timeout = 50ms});
    task<client_error> failing = failure_of(c, client_request("POST", at.url()));
    client_error e = co_await std::move(failing);
    EXPECT_EQ(code_name(e.errc()), code_name(client_errc::connect_failed)) << e.what();
  };
  net::run(body());
}

TEST(client_connect_timeout, is_also_that_of_a_shorter_idle_timeout) {
  narrow_listener at;
  at.fill();
  auto body = [&]() -> task<> {
    client c({.idle_timeout = 50ms});
    task<client_error> failing = failure_of(c, client_request("POST", at.url()));
    client_error e = co_await std::move(failing);
    EXPECT_EQ(code_name(e.errc()), code_name(client_errc::connect_failed)) << e.what();
  };
  net::run(body());
}

// The server had it, closed the kept connection, and can't be reached to be asked again.
TEST(client_connect_timeout, leaves_open_what_became_of_a_request_that_was_sent_before) {
  narrow_listener at;
  std::jthread serving([&] {
    descriptor peer(at.accept());
    std::array<char, 4096> request;
    constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    EXPECT_GT(::recv(peer.get(), request.data(), request.size(), 0), 0);
    EXPECT_EQ(::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL), static_cast<ssize_t>(answer.size()));
    EXPECT_GT(::recv(peer.get(), request.data(), request.size(), 0), 0);
    at.fill();
  });
  auto body = [&]() -> task<> {
    client c({.connect_timeout = 50ms});
    task<client_response> getting = c.get(at.url());
    client_response first = co_await std::move(getting);
    EXPECT_EQ(first.body, "ok");
    task<client_error> failing = failure_of(c, client_request("POST", at.url()).with("Idempotency-Key", "k1"));
    client_error e = co_await std::move(failing);
    EXPECT_EQ(code_name(e.errc()), code_name(client_errc::timed_out)) << e.what();
  };
  net::run(body());
}

}  // namespace
}  // namespace penstock::http
