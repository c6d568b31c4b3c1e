#pragma once

// A TCP proxy that does harm: it stands between a client and a real server and delays, slices, drops, corrupts and cuts
// what they say to one another. For what a test can't ask of the server itself; `penstock-chaos` is the same as a
// program.
//
//   penstock::testing::chaos_proxy proxy(net::endpoint::parse("127.0.0.1:3306"));
//   std::unique_ptr<net::listener> at = net::listen(net::endpoint::parse("127.0.0.1:0"));
//   group.start_background(proxy.serve(*at));                                     // clients connect to `at` now
//   proxy.set_toxics(flow::to_client, {.latency = 50ms, .jitter = 20ms});

#include "penstock/async/task.h"
#include "penstock/net/listener.h"
#include "penstock/testing/toxics.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace penstock::testing {

/// How a proxy is set up.
struct chaos_options {
  std::uint64_t seed = 1;                         ///< Of what is drawn: which bytes are corrupted, and the jitter.
  std::size_t max_connections = 1000;             ///< More wait in the system's backlog.
  std::size_t held_bytes = std::size_t{1} << 20;  ///< On their way in one direction; beyond it the proxy reads no more.
};

/// What a proxy did so far.
struct chaos_counters {
  std::uint64_t connections = 0;      ///< Accepted.
  std::uint64_t failed_connects = 0;  ///< Of those, that found no server; the client is reset.
  std::uint64_t bytes_to_server = 0;  ///< Passed on.
  std::uint64_t bytes_to_client = 0;  ///< Passed on.
  std::uint64_t dropped_bytes = 0;    ///< Read and thrown away.
  std::uint64_t corrupted_bytes = 0;  ///< Passed on as others than they were.
  std::uint64_t cut_connections = 0;  ///< Ended by the proxy, by a toxic or by `cut` and `reset`.
  std::uint64_t lost_answers = 0;     ///< Of those, by `lose_answer_to`.
};

/// One open connection.
struct chaos_connection_info {
  std::uint64_t number = 0;           ///< Counted from 1.
  std::string client;                 ///< The client's address.
  duration age{};                     ///< Since it was accepted.
  std::uint64_t bytes_to_server = 0;  ///< Passed on.
  std::uint64_t bytes_to_client = 0;  ///< Passed on.
};

/// A proxy in front of one server. Belongs to the loop, or simulation, that it serves on.
class chaos_proxy {
 public:
  /// Connects to the server, for one client.
  using connector = std::function<task<std::unique_ptr<net::stream>>()>;
  /// Which connections a change is for.
  enum class applies_to { all_connections, new_connections };

  explicit chaos_proxy(net::endpoint server, const chaos_options& options = {});
  /// For servers that are reached in another way, such as over a simulated network.
  explicit chaos_proxy(connector connect_to_server, const chaos_options& options = {});
  chaos_proxy(const chaos_proxy&) = delete;
  chaos_proxy& operator=(const chaos_proxy&) = delete;
  ~chaos_proxy();

  /// Accepts connections and passes them on, each to a connection of its own to the server, until `stop`; then cuts
  /// those that are open. An end, or a reset, of either side is passed on to the other. Cancellable. Once, on one
  /// listener.
  task<void> serve(net::listener& at);
  /// Lets `serve` end.
  void stop() noexcept;

  /// Does this to a direction from now on, instead of what was done to it; bytes on their way follow the new ones too.
  /// Throws as `check` does.
  void set_toxics(flow direction, const toxics& what, applies_to which = applies_to::all_connections);
  /// Does no more harm, to any connection.
  void clear_toxics();
  /// What is done to a direction of new connections.
  const toxics& toxics_of(flow direction) const noexcept;

  /// The open connections, oldest first.
  std::vector<chaos_connection_info> connections() const;
  /// Closes both sides of a connection; false when there is none of that number.
  bool cut(std::uint64_t number) noexcept;
  /// Resets both sides.
  bool reset(std::uint64_t number) noexcept;
  /// Closes all open connections; gives how many.
  std::size_t cut_all() noexcept;
  /// Resets all open connections; gives how many.
  std::size_t reset_all() noexcept;
  chaos_counters counters() const noexcept;

 private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

}  // namespace penstock::testing
