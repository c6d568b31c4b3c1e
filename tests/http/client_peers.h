#pragma once

// Whom the client talks to in tests: our own server, and peers that follow a script.

#include <penstock/async/error.h>
#include <penstock/async/task_group.h>
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

}  // namespace penstock::http
