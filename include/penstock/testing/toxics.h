#pragma once

// What a chaos proxy does to the bytes that go one way through it. By default nothing.
//
//   toxics slow{.latency = 50ms, .jitter = 20ms};
//   toxics cut_in_the_answer{.cut_after_bytes = 117};
//   proxy.set_toxics(flow::to_client, slow);

#include "penstock/async/scheduler.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace penstock::testing {

/// A direction through a proxy.
enum class flow {
  to_server,  ///< What the client says.
  to_client,  ///< What the server answers.
};

/// What happens to one direction of a connection. Several may be on at a time; they are listed in the order in which
/// bytes meet them.
struct toxics {
  /// Nothing is read, passed on or closed, as if the peer's machine slept. What is on its way goes on afterwards.
  bool stop = false;
  /// Everything is read and thrown away; the ends of the connections are still passed on.
  bool drop = false;
  /// The chance of each byte, from 0 to 1, to be changed to another. Drawn from the proxy's seed.
  double corrupt = 0;
  /// After so many bytes of this direction, counted from the connection's beginning, both sides are closed. Bytes up to
  /// there are passed on.
  std::optional<std::uint64_t> cut_after_bytes = std::nullopt;
  bool cut_by_reset = false;  ///< Cuts reset both sides instead.
  /// When this text has passed, what comes next from the other side is thrown away, the peer that waits for it is reset
  /// and the other one closed: it has done what it was asked to, and nobody heard of it. Empty: never.
  std::string lose_answer_to = {};
  std::size_t lose_answer_every = 1;   ///< Only each so-many-th time, counted over all connections.
  duration latency{};                  ///< How long bytes are on their way, besides.
  duration jitter{};                   ///< Up to so much longer, drawn for each piece; the order holds.
  std::uint64_t bytes_per_second = 0;  ///< How much passes at most; 0: no bound.
  std::size_t slice_bytes = 0;         ///< Written in pieces of at most so many bytes; 0: as they come.

  bool operator==(const toxics&) const = default;
};

/// Throws `testing_errc::bad_setting` for a chance that is none, and a `lose_answer_every` of 0.
void check(const toxics& what);

}  // namespace penstock::testing
