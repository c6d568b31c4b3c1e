#pragma once

// A network with a server "b" on port 80, and what the tests do with its streams.

#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/net/error.h>
#include <penstock/net/listener.h>
#include <penstock/testing/network.h>
#include <penstock/testing/simulation.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::testing {

using namespace std::chrono_literals;

// Two ends of one connection, from host "a" to host "b".
struct connected {
  std::unique_ptr<net::stream> client;
  std::unique_ptr<net::stream> server;
};

inline task<connected> connect_a_to_b(network& n, net::listener& at) {
  task<std::unique_ptr<net::stream>> connecting = n.connect("a", at.local_endpoint());
  connected both;
  both.client = co_await std::move(connecting);
  task<std::unique_ptr<net::stream>> accepting = at.accept();
  both.server = co_await std::move(accepting);
  co_return both;
}

inline task<void> write(net::stream& s, std::string text) {
  task<void> writing = s.write(net::bytes_of(text));
  co_await std::move(writing);
}

inline task<std::string> read_some(net::stream& s, std::size_t most = 65'536) {
  std::vector<std::byte> buffer(most);
  task<std::size_t> reading = s.read_some(buffer);
  std::size_t n = co_await std::move(reading);
  co_return std::string(reinterpret_cast<const char*>(buffer.data()), n);
}

// All until the peer ends the stream.
inline task<std::string> read_all(net::stream& s) {
  std::string all;
  for (;;) {
    task<std::string> reading = read_some(s);
    std::string some = co_await std::move(reading);
    if (some.empty()) co_return all;
    all += some;
  }
}

// The code of the error that a task ends with; "" when it ends well.
template <class T>
task<std::string> code_of(task<T> t) {
  try {
    static_cast<void>(co_await std::move(t));
  } catch (const error& e) {
    co_return std::string(e.code());
  }
  co_return std::string();
}
inline task<std::string> code_of(task<void> t) {
  try {
    co_await std::move(t);
  } catch (const error& e) {
    co_return std::string(e.code());
  }
  co_return std::string();
}

inline time_point now() { return scheduler::current().now(); }

// Runs `body(network&, connected&)` over one connection.
template <class Body>
void over_a_connection(network_options options, Body body, std::uint64_t seed = 1) {
  simulation sim({.seed = seed});
  network n(options);
  auto main = [&]() -> task<> {
    std::unique_ptr<net::listener> at = n.listen("b", 80);
    task<connected> connecting = connect_a_to_b(n, *at);
    connected both = co_await std::move(connecting);
    task<> running = body(n, both);
    co_await std::move(running);
  };
  sim.run(main());
  EXPECT_EQ(describe(sim.open_things().open()), "");
}

}  // namespace penstock::testing
