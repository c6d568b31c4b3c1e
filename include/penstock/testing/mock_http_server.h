#pragma once

// An HTTP server that answers as a test tells it to, well or badly, and checks that it was asked what it was meant to
// be. It is an `http::server` below, on a real socket unless it is given another listener. For bytes that no HTTP
// server would send there is testing/scripted_peer.h.
//
//   co_await with_mock_http_server([](mock_http_server& server) -> task<> {
//     server.expect("GET", "/users/7").answers(mock_answer(503)).answers(mock_answer(200, "Ann").after(50ms));
//     http::client client;
//     task<http::client_response> getting = get_with_retries(client, server.url("/users/7"));
//     http::client_response got = co_await std::move(getting);
//     EXPECT_EQ(got.body, "Ann");
//   });

#include "penstock/async/scheduler.h"
#include "penstock/async/task.h"
#include "penstock/net/listener.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::testing {

/// What a mock server answers, and how.
class mock_answer {
 public:
  explicit mock_answer(int status = 200, std::string body = {}) : status_(status), body_(std::move(body)) {}
  /// Takes the request and says nothing, for as long as the server lives.
  static mock_answer silence();
  /// Takes the request and resets the connection.
  static mock_answer reset();

  /// Adds a header field. As all below, gives the answer back.
  mock_answer& with(std::string name, std::string value);
  /// Waits before it answers.
  mock_answer& after(duration d);
  /// Closes the connection after so many bytes of the body that was announced.
  mock_answer& cut_after(std::size_t body_bytes);
  /// Resets it then.
  mock_answer& reset_after(std::size_t body_bytes);
  /// Sends the body again and again, every 10 ms, until the client has gone.
  mock_answer& without_end();

 private:
  friend class mock_http_server;
  enum class manner { whole, silence, reset, cut, cut_by_reset, endless };

  int status_;
  std::string body_;
  std::vector<std::pair<std::string, std::string>> headers_;
  duration delay_{};
  manner manner_ = manner::whole;
  std::size_t cut_after_ = 0;
};

/// Requests that a mock server expects: of a method and a path, the query apart.
class mock_expectation {
 public:
  /// Answers the next request so; the last answer is repeated. Without any, an empty 200.
  mock_expectation& answers(mock_answer a);
  /// Expects exactly so many requests. Without it, as many as there are answers, and at least one.
  mock_expectation& times(std::size_t count);
  /// Expects any number, none included.
  mock_expectation& any_times();

 private:
  friend class mock_http_server;
  mock_expectation(std::string method, std::string path, std::source_location where)
      : method_(std::move(method)), path_(std::move(path)), where_(where) {}
  std::optional<std::size_t> expected() const noexcept;

  std::string method_;
  std::string path_;
  std::source_location where_;
  std::vector<mock_answer> answers_;
  std::optional<std::size_t> times_;
  bool any_ = false;
  std::size_t seen_ = 0;
};

/// A request that a mock server got.
struct mock_request {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

/// The server. Use `with_mock_http_server`, which serves and verifies; by hand, start `serve` in a task group.
class mock_http_server {
 public:
  /// Listens on a port of 127.0.0.1.
  mock_http_server();
  /// Serves a listener, such as one of a simulated network.
  explicit mock_http_server(std::unique_ptr<net::listener> at);
  mock_http_server(const mock_http_server&) = delete;
  mock_http_server& operator=(const mock_http_server&) = delete;
  ~mock_http_server();

  /// Expects requests. Of several expectations that fit a request, the first that has not had all of its requests takes
  /// it. The result belongs to the server.
  mock_expectation& expect(std::string method, std::string path,
                           std::source_location where = std::source_location::current());
  /// The address of a path.
  std::string url(std::string_view path = "/") const;
  /// All requests so far, whole ones, in the order in which they came.
  const std::vector<mock_request>& requests() const noexcept;

  /// Serves until it is cancelled. A request that nothing expects is answered with a 500.
  task<void> serve();
  /// Fails the running test, at their lines, for expectations that had too few requests, and for each request that
  /// nothing expected.
  void verify() const;

 private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

/// Runs `body` beside a mock server, which ends with it and is then verified, unless the body failed.
task<void> with_mock_http_server(std::function<task<void>(mock_http_server&)> body);

}  // namespace penstock::testing
