#pragma once

// What may go wrong with a simulated network by chance.
//
//   net.set_faults(network_faults::swarm(simulation::current().random_for("faults")));

#include "penstock/async/scheduler.h"

#include <cstddef>
#include <string>

namespace penstock::testing {

class random_stream;

/// Chances of faults; the default is a network without any.
struct network_faults {
  double refuse = 0;  ///< That a connect is refused though somebody listens.
  double reset = 0;   ///< For each segment sent, that its connection is reset, both ends at once.
  /// For each connection, that from some segment on neither end hears anything of the other: half-open.
  double silence = 0;
  /// For each write and read, that it is cut up: writes into segments and reads into pieces of 1 to 16 bytes.
  double slice = 0;
  duration jitter{};           ///< Up to so much is added to a segment's latency; the order within a connection holds.
  duration partition_every{};  ///< Mean time between partitions of two hosts that are connected; 0: none.
  duration partition_for{};    ///< Mean length of one.
  double one_way = 0.5;        ///< The share of partitions that cut one direction only.

  /// Draws the faults of one run: each kind is off in half of all runs, so that runs differ in which kinds meet (swarm
  /// testing: Groce et al., ISSTA 2012).
  static network_faults swarm(random_stream& from);
  /// Without the kinds that the running simulation switches off (`simulation::faults_enabled`): "network.refuse",
  /// "network.reset", "network.silence", "network.slice", "network.jitter", "network.partition".
  network_faults enabled() const;
  /// The kinds that are on, for reports; "none".
  std::string to_string() const;
};

}  // namespace penstock::testing
