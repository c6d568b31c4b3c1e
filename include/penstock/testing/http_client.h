#pragma once

// An HTTP/1.1 client on a simulated network, with the requests, answers and errors of `http::client`. That one speaks
// through libcurl, which opens sockets and times its transfers by the system's clock: neither exists in a simulation.
//
//   testing::http_client client(net, "client-1");
//   http::client_response answer = co_await client.send(http::client_request("http://server:80/healthz"));

#include "penstock/http/client.h"
#include "penstock/testing/network.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace penstock::testing {

/// How a simulated client behaves.
struct http_client_options {
  duration request_timeout = std::chrono::seconds(60);  ///< For all of a request.
  bool keep_alive = true;                               ///< Keeps a connection for the next request.
};

/// Sends requests from a host of a network, one at a time, over one connection that is kept. Follows no redirects,
/// decodes no content encoding, and sends nothing a second time: when a kept connection turns out closed, whatever was
/// sent ends with `connection_lost`. `over` outlives it.
class http_client {
 public:
  http_client(network& over, std::string from, const http_client_options& options = {});
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;
  ~http_client();

  /// Sends a request and gives the answer, whatever its status. Throws `http::client_error`, by whose code one can tell
  /// whether the request may have been carried out. Cancellable at any moment: the connection is then closed.
  task<http::client_response> send(http::client_request request);
  /// Closes the connection that is kept.
  void close() noexcept;

 private:
  class exchange;

  network& network_;
  std::string from_;
  http_client_options options_;
  std::unique_ptr<net::stream> kept_;
};

}  // namespace penstock::testing
