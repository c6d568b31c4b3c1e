#pragma once

// Whom the client talks to in tests: our own server, and peers that follow a script.

#include <penstock/async/error.h>
#include <penstock/async/task_group.h>
#include <penstock/http/client.h>
#include <penstock/http/server.h>
#include <penstock/net/error.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>

#include <functional>
#include <string>
#include <utility>

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

// What a peer does with a connection; `number` counts them from 0.
using script = std::function<task<>(net::stream&, int number)>;

// Follows the script on one connection; a client that leaves is none of its errors.
inline task<> follow_script(const script& what, std::unique_ptr<net::stream> connection, int number) {
  try {
    task<> following = what(*connection, number);
    co_await std::move(following);
  } catch (const error& e) {
    if (!e.is(net::net_errc::connection_closed)) throw;
  }
}

// Runs `body(url)` beside a peer that follows a script on each connection, then closes it.
template <class Body>
void with_peer(script what, Body body) {
  auto beside = [&]() -> task<> {
    std::unique_ptr<net::listener> at = net::listen(net::endpoint::parse("127.0.0.1:0"));
    std::string url = "http://" + at->local_endpoint().to_string() + "/";
    co_await with_task_group([&](task_group& group) -> task<> {
      auto accept_all = [&]() -> task<> {
        for (int number = 0;; ++number) {
          std::unique_ptr<net::stream> connection = co_await at->accept();
          group.start_background(follow_script(what, std::move(connection), number));
        }
      };
      group.start_background(accept_all());
      task<> running = body(url);
      co_await std::move(running);
    });
  };
  net::run(beside());
}

// Reads a request without a body; empty when the client closed instead.
inline task<std::string> read_head(net::stream& connection) {
  std::string head;
  std::byte some[4096];
  while (!head.ends_with("\r\n\r\n")) {
    std::size_t n = co_await connection.read_some(some);
    if (n == 0) co_return std::string();
    head.append(reinterpret_cast<char*>(some), n);
  }
  co_return head;
}

// Waits until the client closes.
inline task<> read_to_end(net::stream& connection) {
  std::byte some[4096];
  while (co_await connection.read_some(some) > 0) continue;
}

// Answers one request of each connection with this text.
inline script answers(std::string text) {
  return [text](net::stream& connection, int) -> task<> {
    task<std::string> reading = read_head(connection);
    co_await std::move(reading);
    task<> writing = connection.write(net::bytes_of(text));
    co_await std::move(writing);
  };
}

// Takes requests and says nothing.
inline script stays_silent() {
  return [](net::stream& connection, int) -> task<> {
    task<> reading = read_to_end(connection);
    co_await std::move(reading);
  };
}

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

}  // namespace penstock::http
