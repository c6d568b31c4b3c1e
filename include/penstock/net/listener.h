#pragma once

// Accepting and making connections.

#include "penstock/async/scheduler.h"
#include "penstock/net/endpoint.h"
#include "penstock/net/stream.h"

#include <memory>
#include <source_location>
#include <string>

namespace penstock::net {

/// Accepts connections. Belongs to the loop it was made on. Destroying it closes it; no `accept` may be under way then:
/// close it, and let that end, before.
class listener {
 public:
  listener() = default;
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;
  virtual ~listener() = default;

  /// Awaits the next connection. Cancellable; a connection is never lost by that. When the process or the system is
  /// out of descriptors, waits a little and tries again. Throws `net_errc::connection_closed` once closed.
  virtual task<std::unique_ptr<stream>> accept() = 0;
  /// Stops listening; an `accept` under way ends. Idempotent.
  virtual void close() noexcept = 0;
  /// Where it listens, with the port that the system chose.
  virtual const endpoint& local_endpoint() const noexcept = 0;
};

/// How to listen.
struct listen_options {
  int backlog = 1024;       ///< Connections the system holds until they are accepted; it may hold fewer.
  bool reuse_port = false;  ///< Lets several listeners, one a loop, share the port (SO_REUSEPORT, socket(7)).
  unsigned mode = 0600;     ///< Who may connect to a Unix socket: the mode of its file (unix(7)); the owner only.
};

/// Listens on an endpoint with the running task's loop. A Unix socket's file is removed first when nobody listens on
/// it, made with `mode`, whatever the umask, and removed again on close. Throws `net_errc::listen_failed` naming the
/// endpoint; `resolve_failed` for an unknown host. `made_at` is for the report of a test that leaves the listener open,
/// or a connection that it accepted.
std::unique_ptr<listener> listen(const endpoint& where, const listen_options& options = {},
                                 std::source_location made_at = std::source_location::current());

/// How to connect.
struct connect_options {
  duration timeout = std::chrono::seconds(10);  ///< For resolving and connecting, all addresses together.
};

/// Connects to an endpoint; a host's addresses are tried in the order the resolver gives them. Throws
/// `net_errc::connect_failed` naming the endpoint and the last reason, `resolve_failed`, or `timed_out`. Cancellable.
/// `made_at` is for the report of a test that leaves the connection open.
task<std::unique_ptr<stream>> connect(endpoint where, const connect_options& options = {},
                                      std::source_location made_at = std::source_location::current());

}  // namespace penstock::net
