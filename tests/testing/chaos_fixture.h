#pragma once

// A client, a chaos proxy and an echo server in one simulation.

#include "http/memory_net.h"
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/net/error.h>
#include <penstock/testing/chaos_proxy.h>
#include <penstock/testing/simulation.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace penstock::testing {

using http::memory_listener;
using http::memory_stream;

// Says what it hears, until its peer ends.
inline task<> echo(std::unique_ptr<net::stream> peer) {
  std::array<std::byte, 4096> buffer;
  try {
    for (;;) {
      task<std::size_t> reading = peer->read_some(buffer);
      std::size_t n = co_await std::move(reading);
      if (n == 0) co_return;
      task<> writing = peer->write(std::span(buffer).first(n));
      co_await std::move(writing);
    }
  } catch (const error& e) {
    if (!e.is(net::net_errc::connection_closed)) throw;
  }
}

// Everything until the end; "RESET" stands at the end of what was reset.
inline task<std::string> read_to_end(net::stream& s) {
  std::string all;
  std::array<std::byte, 4096> buffer;
  try {
    for (;;) {
      task<std::size_t> reading = s.read_some(buffer);
      std::size_t n = co_await std::move(reading);
      if (n == 0) co_return all;
      all.append(reinterpret_cast<const char*>(buffer.data()), n);
    }
  } catch (const error& e) {
    if (!e.is(net::net_errc::connection_closed)) throw;
  }
  co_return all + "RESET";
}

inline task<std::string> read_exactly(net::stream& s, std::size_t count) {
  std::string all(count, '\0');
  for (std::size_t got = 0; got < count;) {
    task<std::size_t> reading = s.read_some(std::as_writable_bytes(std::span(all).subspan(got)));
    std::size_t n = co_await std::move(reading);
    if (n == 0) co_return all.substr(0, got);
    got += n;
  }
  co_return all;
}

inline task<> say(net::stream& s, std::string text) {
  task<> writing = s.write(net::bytes_of(text));
  co_await std::move(writing);
}

// What the client hears back of a text.
inline task<std::string> echo_of(net::stream& s, std::string text) {
  task<> saying = say(s, text);
  co_await std::move(saying);
  task<std::string> hearing = read_exactly(s, text.size());
  co_return co_await std::move(hearing);
}

struct proxied {
  explicit proxied(const chaos_options& options) : proxy([this] { return connect_to_server(); }, options) {}

  task<std::unique_ptr<net::stream>> connect_to_server() {
    if (server.closed()) throw error(net::net_errc::connect_failed, "nobody listens");
    std::unique_ptr<net::stream> s = server.connect();
    co_return s;
  }
  std::unique_ptr<memory_stream> connect() { return front.connect(); }

  memory_listener front;
  memory_listener server;
  chaos_proxy proxy;
};

inline task<> echo_all(memory_listener& at, task_group& group) {
  for (;;) {
    task<std::unique_ptr<net::stream>> accepting = at.accept();
    group.start_background(echo(co_await std::move(accepting)));
  }
}

template <class Body>
task<> beside_proxy(proxied& p, Body& body, bool echoes) {
  co_await with_task_group([&](task_group& group) -> task<> {
    group.start_background(p.proxy.serve(p.front));
    if (echoes) group.start_background(echo_all(p.server, group));
    task<> running = body(p);
    co_await std::move(running);
  });
}

// Runs `body(proxied&)`; gives the virtual time it took. Without echoes, the test itself accepts at `server`.
template <class Body>
duration with_proxy(Body body, const chaos_options& options = {}, bool echoes = true) {
  simulation sim;
  proxied p(options);
  sim.run(beside_proxy(p, body, echoes));
  return sim.elapsed();
}

// Lets everything run that is ready.
inline task<> let_all_run() {
  for (int turns = 0; turns < 100; ++turns) co_await yield();
}

}  // namespace penstock::testing
