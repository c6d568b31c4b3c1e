#pragma once

// An HTTP/1.1 server over the streams of room net (RFC 9110, RFC 9112).
//
//   http::router routes;
//   routes.add("GET", "/", hello);            // task<http::response> hello(http::request&)
//   http::server server(std::move(routes));
//   std::unique_ptr<net::listener> at = net::listen(net::endpoint::parse("127.0.0.1:8080"));
//   co_await server.serve(*at);

#include "penstock/async/scheduler.h"
#include "penstock/async/task.h"
#include "penstock/http/router.h"
#include "penstock/net/listener.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace penstock::metrics {
class registry;
}

namespace penstock::http {

/// Limits of a server. A request beyond one gets the status named, and the connection closes.
struct server_options {
  std::size_t max_request_line_bytes = 8 * 1024;             ///< 414.
  std::size_t max_header_bytes = 32 * 1024;                  ///< With the request line; 431.
  std::size_t max_header_fields = 100;                       ///< 431.
  std::uint64_t max_body_bytes = std::uint64_t{1} << 30;     ///< 413. Bodies are streamed, not held.
  duration header_timeout = std::chrono::seconds(10);        ///< From a request's first byte to its header's end; 408.
  duration body_timeout = std::chrono::seconds(30);          ///< Without a byte of the body; 408.
  duration write_timeout = std::chrono::seconds(30);         ///< Without a byte of an answer taken; closes.
  duration idle_timeout = std::chrono::seconds(75);          ///< Between requests; closes.
  std::size_t max_connections = 10'000;                      ///< At least 1. More wait in the system's backlog.
  std::uint64_t max_drained_bytes = std::uint64_t{1} << 18;  ///< Of an unread body; beyond, the connection closes.
  std::size_t max_pipelined_bytes = std::size_t{1} << 16;    ///< Of gathered answers before they are written.
  /// After `stop`, for requests that are on their way: until then connections are accepted and idle ones stay open.
  duration stop_linger = std::chrono::milliseconds(250);
  std::string server_name = "penstock";  ///< The Server field; empty for none.
};

/// What a server does now and did so far.
struct server_stats {
  std::uint64_t connections = 0;  ///< Accepted so far.
  std::size_t open_connections = 0;
  std::uint64_t requests = 0;  ///< Answered so far.
  std::size_t requests_in_flight = 0;
};

/// Serves connections, each in a task of its own. Belongs to one loop. While a handler or a producer runs,
/// `current_request` has the request's id.
///
/// A handler's exception is answered with a 500 problem that carries the request's id, and logged under that id with
/// its traceback. A client that leaves while its handler runs does not cancel it: the handler ends as if the client
/// were there, and its answer is dropped.
class server {
 public:
  explicit server(router routes, const server_options& options = {});
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server();

  /// Accepts and serves until `stop`, then until the last connection has ended. When cancelled, it cancels the
  /// connections and waits for them.
  task<void> serve(net::listener& at);
  /// Requests are answered with `Connection: close` from now on. After `options.stop_linger` no more connections are
  /// accepted and idle ones close; those with a request under way close once it is answered.
  void stop() noexcept;
  server_stats stats() const noexcept;
  /// Counts here from now on; several servers may share a registry, which outlives them.
  ///
  /// `penstock_http_requests_total{method,route,status}` (the status's class, such as "2xx"; the route's pattern, or
  /// "unmatched"), `penstock_http_request_duration_seconds{route}` (from the head's end to the answer, exact to a turn
  /// of the loop), `penstock_http_request_bytes_total`, `penstock_http_response_bytes_total`,
  /// `penstock_http_connections_total`, `penstock_http_open_connections`, `penstock_http_requests_in_flight`.
  void measure(metrics::registry& into);

 private:
  friend class connection;
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

}  // namespace penstock::http
