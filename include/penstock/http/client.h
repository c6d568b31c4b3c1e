#pragma once

// An HTTP client: many requests at once on one event loop, over connections that are kept. A status of any kind is an
// answer here; where 400 and above should count as failures, and failures should not throw, use `safe_request.h`.
//
//   http::client client({.request_timeout = 5s});
//   http::client_response answer = co_await client.get("https://example.org/");
//   if (answer.status == 200) use(answer.body);

#include "penstock/async/scheduler.h"
#include "penstock/async/task.h"
#include "penstock/http/client_error.h"
#include "penstock/net/endpoint.h"
#include "penstock/net/stream.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::http {

/// Makes a connection.
using stream_connector = std::function<task<std::unique_ptr<net::stream>>(net::endpoint to)>;

/// How a client behaves. `duration::max()` turns a timeout off.
struct client_options {
  /// Requests under way at once, and connections open at once. What comes beyond waits, first come first served.
  std::size_t max_connections = 100;
  /// As above, for one scheme, host and port. Raise it to load a single server.
  std::size_t max_connections_per_host = 32;
  /// Requests that may wait for a connection; beyond, `client_errc::overloaded` at once.
  std::size_t max_waiting_requests = 10'000;
  duration connect_timeout = std::chrono::seconds(10);  ///< Until TCP and TLS are connected.
  duration request_timeout = std::chrono::seconds(60);  ///< For all of a request: waiting, redirects, and the body.
  duration idle_timeout = std::chrono::seconds(30);     ///< Without a byte either way, an answer's making included.
  duration keep_alive = std::chrono::seconds(60);       ///< A connection unused for longer is not used again.
  /// Of a body, decoded. Beyond: `client_errc::too_large`, as soon as it shows.
  std::uint64_t max_response_bytes = std::uint64_t{64} << 20;
  std::size_t max_header_bytes = 64 * 1024;  ///< Of an answer's header section; beyond: `client_errc::too_large`.
  /// Redirects to follow; 0 gives the redirecting answer itself. Only to http and https, never from https to http;
  /// Authorization, Cookie and Idempotency-Key do not go to another scheme, host or port. 303 becomes a GET, as 301
  /// and 302 do for a POST (RFC 9110, 15.4).
  std::size_t max_redirects = 0;
  /// Asks for answers in gzip and unpacks them; Content-Encoding and Content-Length then tell of what was sent. One
  /// that is damaged, breaks off, or is in another coding is `client_errc::broken_response`.
  bool decompress = true;
  bool verify_tls = true;      ///< The peer's certificate and name. Leave it on.
  std::string ca_bundle = {};  ///< A PEM file of the certificates to trust instead of the system's.
  std::string user_agent = "penstock";
  /// Makes the connections, in place of the system's sockets and resolver: a simulated network's, say. The client then
  /// runs on any scheduler, and by its time alone; each request has a connection of its own. Null: sockets of the event
  /// loop.
  stream_connector connect = {};
};

/// What to ask.
class client_request {
 public:
  explicit client_request(std::string request_url) : url(std::move(request_url)) {}
  client_request(std::string request_method, std::string request_url, std::string request_body = {})
      : method(std::move(request_method)), url(std::move(request_url)), body(std::move(request_body)) {}

  /// Adds a field and gives the request back.
  client_request&& with(std::string name, std::string value) && {
    headers.emplace_back(std::move(name), std::move(value));
    return std::move(*this);
  }

  std::string method = "GET";
  std::string url;  ///< Absolute; http or https. A name and password in it are sent as Basic authorization.
  /// Host, Content-Length, Transfer-Encoding and Connection are the client's to add.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  /// Sent where `body` is empty: a body that stays the caller's, who keeps it as it is until the request has ended.
  std::string_view lent_body = {};

  /// What is sent.
  std::string_view body_to_send() const noexcept { return body.empty() ? lent_body : std::string_view(body); }
};

/// Method and redacted URL, for logs.
std::string log_value(const client_request& r);

/// How long the steps of an exchange took, from its start; after redirects, of the last one.
struct client_timing {
  duration connected{};   ///< Until there was a connection, TLS included; 0 on a kept one.
  duration first_byte{};  ///< Until the answer began.
  duration total{};       ///< Until its end.
};

/// An answer.
struct client_response {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  ///< In order; values without surrounding white space.
  std::string body;
  std::string effective_url;  ///< Where the answer came from, after redirects; without a name and password.
  std::size_t redirects = 0;  ///< Redirects that were followed.
  bool reused_connection = false;
  client_timing timing;

  /// The first field of a name, in any case.
  std::optional<std::string_view> header(std::string_view name) const noexcept;
};

/// What a client does now and did so far.
struct client_stats {
  std::uint64_t answered = 0;     ///< Requests that got an answer, whatever its status.
  std::uint64_t failed = 0;       ///< Requests that threw a `client_error`.
  std::uint64_t cancelled = 0;    ///< Requests whose task was cancelled or destroyed.
  std::size_t in_flight = 0;      ///< Not ended; those that wait included.
  std::size_t waiting = 0;        ///< Of those, waiting for a connection.
  std::uint64_t connections = 0;  ///< Connections made so far.
};

/// Sends requests from any number of tasks of one loop; make it inside a task of that loop. It outlives its requests.
/// Destroying it closes its connections; over streams (`client_options::connect`) await `close` before, for the tasks
/// that carry their bytes end a moment later, and in a simulation count as left behind when they are destroyed.
///
/// TLS is verified. HTTP/1.1 is spoken, and HTTP/2 never; proxies of the environment, cookies and .netrc are not used.
/// A request is sent once: when a kept connection turns out closed, GET, HEAD, PUT, DELETE, OPTIONS and TRACE, and
/// requests with an Idempotency-Key, are sent again on a new one; others throw `connection_lost` (RFC 9110, 9.2.2).
/// Without TLS, a kept connection over which something came while nothing was asked is closed before a request is sent
/// over it, and another one made (RFC 9112, 9.2).
class client {
 public:
  /// Throws `async_errc::no_scheduler` outside a task, and without `options.connect` outside one of an event loop.
  explicit client(const client_options& options = {});
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  ~client();

  /// Sends a request and gives the answer, whatever its status. Throws `client_error`. Cancellable at any moment: the
  /// connection is then closed. An inherited deadline cuts it short as `with_deadline` says, and is told to the server
  /// as `X-Request-Timeout-Ms`, the milliseconds left. Throws `async_errc::wrong_scheduler` under another scheduler.
  ///
  /// Within a request (`current_request`) its id is sent on as X-Request-Id, and its trace as traceparent and
  /// tracestate where its ids are such (W3C Trace Context). Of these four fields, those that the request has itself are
  /// sent as they are.
  task<client_response> send(client_request request);
  /// Sends a GET.
  task<client_response> get(std::string url);
  /// Sends a POST.
  task<client_response> post(std::string url, std::string body, std::string content_type = "application/json");

  /// Takes no more requests, which get `client_errc::closed`; waits for those that are not ended; then closes the kept
  /// connections and waits until they are. May be called again. A cancelled call leaves the client as far as it came.
  task<void> close();

  client_stats stats() const noexcept;

 private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

}  // namespace penstock::http
