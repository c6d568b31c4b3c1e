// What comes over a kept connection while nothing is asked is nobody's answer (RFC 9112, 9.2).

#include "client_peers.h"
#include <penstock/async/event.h>

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace penstock::http {
namespace {

const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
const std::string evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
const std::string too_late = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

// The socket of this process that is connected to a port of 127.0.0.1.
int connected_to(int port) {
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_in peer{};
    socklen_t size = sizeof(peer);
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 || peer.sin_family != AF_INET) continue;
    if (::ntohs(peer.sin_port) == port) return fd;
  }
  throw std::logic_error("nothing is connected to port " + std::to_string(port));
}

void wait_for_bytes(int socket) {
  pollfd one{socket, POLLIN, 0};
  ASSERT_EQ(::poll(&one, 1, 10'000), 1);
}

// A peer that answers the first request of its first connection and then, once told to, says `unasked`; over the next
// connection it answers two requests.
class client_unasked : public ::testing::Test {
 protected:
  // Sends a request behind what nobody asked for.
  void expect_a_good_answer(client_request (*make)(std::string url), testing::peer_script unasked) {
    testing::peer_script talks = answers(good);
    talks.then([this](net::stream&) -> task<> {
      auto waiting = told_.wait();
      co_await waiting;
    });
    talks.then([unasked, this](net::stream& s) -> task<> {
      task<std::string> saying = unasked.play(s);
      co_await std::move(saying);
      said_.set();
    });
    talks.then([this](net::stream& s) -> task<> {
      testing::peer_script rest;
      rest.read_to_end();
      task<std::string> reading = rest.play(s);
      rest_ = co_await std::move(reading);
      over_.set();
    });
    testing::peer_script answers_two = answers(good);
    answers_two.read_until("\r\n\r\n").send(good).read_to_end();
    with_peer({talks, answers_two}, [&](std::string url) -> task<> {
      client c({.request_timeout = std::chrono::seconds(5)});
      task<client_response> first = c.get(url);
      co_await std::move(first);
      told_.set();
      auto saying = said_.wait();
      co_await saying;
      wait_for_bytes(connected_to(std::stoi(url.substr(url.rfind(':') + 1))));
      for (bool kept : {false, true}) {
        task<client_response> sending = c.send(make(url));
        client_response answer = co_await std::move(sending);
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(answer.body, "good");
        EXPECT_EQ(answer.reused_connection, kept);
      }
      EXPECT_EQ(c.stats().connections, 2u);
      auto ending = over_.wait();
      co_await ending;
      EXPECT_EQ(rest_, "") << "the request was sent over the first connection";
    });
  }

 private:
  event told_, said_, over_;
  std::string rest_;
};

client_request gets(std::string url) { return client_request(std::move(url)); }
client_request posts(std::string url) { return client_request("POST", std::move(url), "{}"); }

TEST_F(client_unasked, an_answer_is_not_that_of_the_next_request) {
  expect_a_good_answer(gets, testing::peer_script().send(evil));
}

TEST_F(client_unasked, an_answer_is_not_that_of_a_post_which_is_sent_once) {
  expect_a_good_answer(posts, testing::peer_script().send(evil));
}

TEST_F(client_unasked, a_farewell_to_an_idle_connection_fails_no_request) {
  expect_a_good_answer(posts, testing::peer_script().send(too_late).half_close());
}

TEST_F(client_unasked, some_bytes_are_not_the_start_of_an_answer) {
  expect_a_good_answer(gets, testing::peer_script().send("\r\n"));
}

}  // namespace
}  // namespace penstock::http
