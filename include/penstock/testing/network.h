#pragma once

// A network in virtual time: streams and listeners as those of room net, between hosts that have only names, with
// latency, bandwidth and every way in which a connection can fail. Servers run on it unchanged.
//
//   penstock::testing::network net;
//   std::unique_ptr<net::listener> at = net.listen("server", 80);
//   std::unique_ptr<net::stream> s = co_await net.connect("client", net::endpoint::tcp("server", 80));
//   net.partition_one_way("client", "server");   // …later: net.heal();

#include "penstock/net/listener.h"
#include "penstock/testing/network_faults.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <string>

namespace penstock::testing {

/// How a network behaves when nothing fails.
struct network_options {
  /// One way, between hosts; drawn for each connection, so that what is sent on two of them may arrive in another
  /// order.
  duration least_latency = std::chrono::microseconds(100);
  duration most_latency = std::chrono::milliseconds(1);
  std::uint64_t bytes_per_second = 0;     ///< Of each direction of a connection; 0: no bound.
  std::size_t window_bytes = 64 * 1024;   ///< Sent and not yet read by the peer; beyond it writers wait.
  std::size_t segment_bytes = 16 * 1024;  ///< What is sent at most in one piece.
  /// Bytes that the peer can't acknowledge for so long break the connection (TCP_USER_TIMEOUT, tcp(7)).
  duration give_up = std::chrono::seconds(60);
  std::size_t backlog = 128;  ///< Connections that wait to be accepted; beyond it connects wait.
};

/// A network. Outlives nothing: its streams and listeners may outlive it. Belongs to one simulation, inside which all
/// of it is called, save the constructor. Everything it draws comes from `simulation::random_for("network")`, so that a
/// seed gives the same network whatever else a test does.
///
/// Streams behave as TCP does: bytes arrive in order or not at all; a write ends when the window has taken the bytes; a
/// closed stream that has unread bytes resets its peer (RFC 1122, 4.2.2.13). A connection over a path that is cut holds
/// its bytes back until the path heals or `give_up` has passed. Each open end and listener stands in the simulation's
/// ledger, and `should_fail` is asked at every "network.connect", "network.read" and "network.write".
class network {
 public:
  explicit network(const network_options& options = {});
  network(const network&) = delete;
  network& operator=(const network&) = delete;
  ~network();

  /// Listens on a host's port; 0 lets the network choose one. `where` is named in the ledger, here and below. Throws
  /// `net_errc::listen_failed` when it is taken.
  std::unique_ptr<net::listener> listen(const std::string& host, std::uint16_t port,
                                        std::source_location where = std::source_location::current());
  /// Connects from a host. Throws as `net::connect`: `resolve_failed` for a host on which nobody ever listened,
  /// `connect_failed` when nobody listens now, `timed_out` when the path is cut for `options.timeout`.
  task<std::unique_ptr<net::stream>> connect(std::string from, net::endpoint to,
                                             const net::connect_options& options = {},
                                             std::source_location where = std::source_location::current());

  /// What `http::client_options::connect` takes: connects from this host. The network outlives it.
  std::function<task<std::unique_ptr<net::stream>>(net::endpoint)> connector(
      std::string from, std::source_location where = std::source_location::current());

  /// Cuts the path from one host to another: what is sent that way is held back, and so are acknowledgements.
  void partition_one_way(const std::string& from, const std::string& to);
  /// Cuts both directions between two hosts.
  void partition(const std::string& a, const std::string& b);
  /// Cuts a host off from all others, so that its peers' connections are half-open.
  void isolate(const std::string& host);
  /// Resets all connections between two hosts, both ends at once.
  void reset(const std::string& a, const std::string& b);
  /// Slows down connections made from now on.
  void set_latency(duration least, duration most);
  /// Lets faults happen by chance from now on.
  void set_faults(const network_faults& chances);
  /// Ends all partitions, silences and chances of faults. What was held back is sent.
  void heal();

  /// Ends of connections that are open.
  std::size_t open_ends() const noexcept;
  /// A line for each connection, with its state and what is under way, and one for each cut path. It is a section of
  /// the report of a run that fails (testing/report_section.h), there with the connections that ended last.
  std::string netstat() const;

 private:
  struct implementation;
  friend class network_connection;
  friend class network_stream;
  friend class network_listener;
  std::shared_ptr<implementation> implementation_;
};

}  // namespace penstock::testing
