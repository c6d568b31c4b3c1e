#pragma once

// Whom the client talks to in tests: our own server, and peers that follow a script.

#include <penstock/async/task_group.h>
#include <penstock/http/client.h>
#include <penstock/http/server.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/testing/scripted_peer.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::http {

// Runs `body(url)` beside a server.
template <class Body>
void with_server(router routes, Body body) {
  auto beside = [&]() -> task<> {
    server s(std::move(routes));
    std::unique_ptr<net::listener> at = net::listen(net::endpoint::parse("127.0.0.1:0"));
    std::string url = "http://" + at->local_endpoint().to_string();
    co_await with_task_group([&](task_group& group) -> task<> {
      group.start_background(s.serve(*at));
      task<> running = body(url);
      co_await std::move(running);
    });
  };
  net::run(beside());
}

// Runs `body(url)` beside a peer that follows a script on each connection.
template <class Body>
void with_peer(std::vector<testing::peer_script> scripts, Body body) {
  std::function<task<>(const net::endpoint&)> ask = [&](const net::endpoint& at) {
    return body("http://" + at.to_string() + "/");
  };
  net::run(testing::with_scripted_peer(std::move(scripts), ask));
}
template <class Body>
void with_peer(testing::peer_script script, Body body) {
  with_peer(std::vector<testing::peer_script>{std::move(script)}, std::move(body));
}

// Reads a request without a body.
inline testing::peer_script takes_a_request() { return testing::peer_script().read_until("\r\n\r\n"); }

// Answers one request of each connection with this text.
inline testing::peer_script answers(std::string text) { return takes_a_request().send(std::move(text)); }

// Takes requests and says nothing.
inline testing::peer_script stays_silent() { return testing::peer_script().read_to_end(); }

// Sends a request that must fail, and gives how.
inline task<client_error> failure_of(client& c, client_request r) {
  task<client_response> sending = c.send(std::move(r));
  try {
    client_response answer = co_await std::move(sending);
    throw std::logic_error("answered " + std::to_string(answer.status) + ", and should have failed");
  } catch (const client_error& e) {
    co_return e;
  }
}

inline task<client_error> failure_of(client& c, std::string url) {
  return failure_of(c, client_request(std::move(url)));
}

// That a peer which answers so makes the client fail so.
inline void expect_failure(const std::string& answer, client_errc code, const client_options& options = {}) {
  with_peer(answers(answer), [&](std::string url) -> task<> {
    client c(options);
    task<client_error> failing = failure_of(c, url);
    client_error e = co_await std::move(failing);
    EXPECT_EQ(code_name(e.errc()), code_name(code)) << e.what();
    EXPECT_THAT(e.what(), ::testing::HasSubstr("GET " + url));
    EXPECT_EQ(c.stats().failed, 1u);
  });
}

}  // namespace penstock::http
