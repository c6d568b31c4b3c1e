#pragma once

// A server under the simulation, and a client that speaks raw bytes to it.
//
//   with_server(routes(), {}, [](test_server& s) -> task<> {
//     test_client c = s.connect();
//     c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
//     answer a = co_await c.receive();
//   });

#include "memory_net.h"
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/http/request.h>
#include <penstock/http/server.h>
#include <penstock/testing/simulation.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::http {

struct answer {
  int status = 0;      // 0 when the connection ended before a head
  bool whole = false;  // false when it ended inside the answer
  std::string head;
  std::string body;
  std::vector<std::pair<std::string, std::string>> fields;

  // The first field of that name; empty when there is none.
  std::string field(std::string_view name) const {
    for (const auto& [key, value] : fields)
      if (equal_ignoring_case(key, name)) return value;
    return {};
  }
  std::size_t count(std::string_view name) const {
    std::size_t n = 0;
    for (const auto& [key, value] : fields) n += equal_ignoring_case(key, name) ? 1 : 0;
    return n;
  }
};

class test_client {
 public:
  explicit test_client(std::unique_ptr<memory_stream> stream) : stream_(std::move(stream)) {}

  // Sends without waiting: the pipe is as long as it takes.
  void send(std::string_view text) {
    stream_->outgoing().bytes += text;
    stream_->outgoing().notify();
  }
  void finish_sending() noexcept { stream_->shutdown_send(); }
  void reset() noexcept { stream_->reset(); }

  // The next answer; `of_head` when it is to a HEAD request.
  task<answer> receive(bool of_head = false) {
    answer a;
    std::size_t end;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
      task<bool> more = read_more();
      if (!co_await std::move(more)) co_return a;
    }
    parse_head(a, received_.substr(0, end + 4));
    received_.erase(0, end + 4);
    if (of_head || a.status == 204 || a.status == 304 || a.status < 200) {
      a.whole = true;
    } else if (!a.field("Content-Length").empty()) {
      std::size_t length = static_cast<std::size_t>(std::atoll(a.field("Content-Length").c_str()));
      while (received_.size() < length) {
        task<bool> more = read_more();
        if (!co_await std::move(more)) break;
      }
      a.whole = received_.size() >= length;
      a.body = received_.substr(0, length);
      received_.erase(0, length);
    } else if (a.field("Transfer-Encoding") == "chunked") {
      task<bool> chunks = receive_chunks(a.body);
      a.whole = co_await std::move(chunks);
    } else {
      task<std::string> rest = receive_all();
      a.body = co_await std::move(rest);
      a.whole = true;
    }
    co_return a;
  }

  // All that comes until the server ends the connection.
  task<std::string> receive_all() {
    for (bool more = true; more;) {
      task<bool> reading = read_more();
      more = co_await std::move(reading);
    }
    co_return std::exchange(received_, {});
  }

  // True when the server ended the connection and nothing is left to read.
  task<bool> closed() {
    if (!received_.empty()) co_return false;
    task<bool> reading = read_more();
    co_return !co_await std::move(reading);
  }

  // What was received and not yet taken by the above.
  std::string_view arrived() {
    received_ += std::exchange(stream_->incoming().bytes, {});
    stream_->incoming().notify();
    return received_;
  }
  // True when the server ended the connection by a reset.
  bool was_reset() const noexcept { return stream_->incoming().dropped; }
  // True once the server has closed its end: what it did not read resets the connection.
  bool server_is_gone() const noexcept { return stream_->outgoing().dropped; }
  // Bytes that were sent and not read.
  std::size_t unread() const noexcept { return stream_->outgoing().bytes.size(); }
  // How often the server wrote so far.
  std::size_t server_writes() const noexcept { return stream_->incoming().writes; }
  // The server waits when so many bytes are not read yet.
  void take_at_most(std::size_t bytes) noexcept { stream_->incoming().capacity = bytes; }

 private:
  task<bool> read_more() {
    std::byte buffer[4096];
    std::size_t n = 0;
    try {
      task<std::size_t> reading = stream_->read_some(buffer);
      n = co_await std::move(reading);
    } catch (const error& e) {
      if (!e.is(net::net_errc::connection_closed)) throw;
    }
    received_.append(reinterpret_cast<const char*>(buffer), n);
    co_return n > 0;
  }

  task<bool> receive_chunks(std::string& body) {
    for (;;) {
      std::size_t end;
      while ((end = received_.find("\r\n")) == std::string::npos) {
        task<bool> more = read_more();
        if (!co_await std::move(more)) co_return false;
      }
      std::size_t size = std::stoul(received_.substr(0, end), nullptr, 16);
      while (received_.size() < end + 2 + size + 2) {
        task<bool> more = read_more();
        if (!co_await std::move(more)) break;
      }
      body += received_.substr(end + 2, size);
      if (received_.size() < end + 2 + size + 2) co_return false;
      received_.erase(0, end + 2 + size + 2);
      if (size == 0) co_return true;
    }
  }

  static void parse_head(answer& a, std::string head) {
    a.head = head;
    a.status = std::atoi(head.substr(9, 3).c_str());
    for (std::size_t at = head.find("\r\n") + 2; at + 2 < head.size();) {
      std::size_t end = head.find("\r\n", at);
      std::size_t colon = head.find(": ", at);
      a.fields.emplace_back(head.substr(at, colon - at), head.substr(colon + 2, end - colon - 2));
      at = end + 2;
    }
  }

  std::unique_ptr<memory_stream> stream_;
  std::string received_;
};

struct test_server {
  test_server(router routes, const server_options& options) : server(std::move(routes), options) {}
  test_client connect() { return test_client(listener.connect()); }
  http::server server;
  memory_listener listener;
};

template <class Body>
task<> serve_during(test_server& s, Body& body) {
  co_await with_task_group([&](task_group& group) -> task<> {
    group.start(s.server.serve(s.listener));
    task<> running = body(s);
    co_await std::move(running);
    s.server.stop();
  });
}

// Runs `body(test_server&)` beside a server, which then stops and must end. Gives the virtual time it took.
template <class Body>
duration with_server(router routes, const server_options& options, Body body) {
  testing::simulation sim;
  test_server s(std::move(routes), options);
  sim.run(serve_during(s, body));
  return sim.elapsed();
}

// A request for a path, with further header lines and a body.
inline std::string get(std::string_view path, std::string_view lines = {}) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(lines) + "\r\n";
}
inline std::string post(std::string_view path, std::string_view body, std::string_view lines = {}) {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(lines) + "\r\n" + std::string(body);
}

// Lets everything run that is ready.
inline task<> settle() {
  for (int turns = 0; turns < 50; ++turns) co_await yield();
}

inline task<response> answer_hello(request&) { co_return response::text(200, "hello"); }

inline task<response> answer_path(request& r) { co_return response::text(200, std::string(r.target())); }

inline task<response> echo_body(request& r) {
  task<std::string> reading = r.body().read_all(std::size_t{1} << 20);
  std::string body = co_await std::move(reading);
  co_return response::text(200, std::move(body));
}

// GET and POST for every path of one segment: the target, and the body.
inline router echo_routes() {
  router routes;
  routes.add("GET", "/{any}", answer_path);
  routes.add("POST", "/{any}", echo_body);
  return routes;
}

}  // namespace penstock::http
