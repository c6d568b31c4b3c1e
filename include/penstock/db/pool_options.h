#pragma once

#include "penstock/async/scheduler.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace penstock::metrics {
class registry;
}

namespace penstock::db {

/// How a pool behaves. The defaults suit a service; most users set `max_size` alone.
struct pool_options {
  /// What logs, errors and metrics call the pool; empty: the database's name. Set it where one database has several.
  std::string name = {};
  /// Sessions that `run` keeps open. Raise it when the first requests after a quiet time must not wait for a connect.
  std::size_t min_size = 1;
  /// Sessions at most. Raise it when acquiring takes long while the database has capacity left; beyond a few times the
  /// database's cores more sessions make it slower. Several pools share the server's own limit.
  std::size_t max_size = 10;
  /// How long `acquire` waits, connecting and validating included. Lower it to fail early in an overload.
  duration acquire_timeout = std::chrono::seconds(5);
  /// Acquirers that may wait for one in use; one more gets `db_errc::pool_full`. Raise it for bursts that are worth
  /// waiting for.
  std::size_t max_waiters = 1'000;
  /// A session older than this is closed and replaced once it is free; up to a tenth is taken off at random, so that
  /// sessions opened together do not end together. Set it below any limit the server or a firewall puts on a
  /// connection's life. 0: no limit.
  duration max_lifetime = std::chrono::minutes(30);
  /// Sessions above `min_size` that were free for this long are closed by `run`. Lower it where sessions are dear to
  /// the server. 0: never.
  duration idle_timeout = std::chrono::minutes(10);
  /// A session that has not been seen alive for this long is pinged before it is handed out. Raise it when pings are
  /// slow and lost connections rare; 0 pings each time.
  duration validate_after_idle = std::chrono::seconds(1);
  /// `run` pings sessions that are free and were not seen alive for this long. Set it below the time after which
  /// something on the way drops silent connections. 0: never.
  duration keepalive = std::chrono::minutes(2);
  /// A lease held for longer is reported once, with the place that acquired it. Set it to 0 when leases are held on
  /// purpose.
  duration leak_after = std::chrono::minutes(1);
  /// How long `close` waits for leases. Set it below the time the service has to stop.
  duration close_timeout = std::chrono::seconds(10);
  /// How long one attempt to connect may take; below `acquire_timeout`, or acquirers give up before a second one.
  /// Raise it for a distant database.
  duration connect_timeout = std::chrono::seconds(3);
  /// How long a ping or reset may take before the session counts as dead. Raise it for a distant database.
  duration validation_timeout = std::chrono::seconds(2);
  /// After a failed connect, the pause before the next; it doubles up to `reconnect_max`, and up to half is taken off
  /// at random. Raise both where many processes share a database that is slow to start.
  duration reconnect_min = std::chrono::milliseconds(100);
  duration reconnect_max = std::chrono::seconds(5);
  /// Whether those who wait fail when the pool has no session and a connect fails, with what that said, instead of
  /// waiting for the database's return; who comes in the pause before a connect waits for that one. Set it where a late
  /// answer is worth less than an early refusal.
  bool refuse_when_unreachable = false;
  /// Where the pool's metrics go, labelled with its name: give the registry that `/metrics` shows. What pools of one
  /// name hold is added up. It outlives the pool. Null: nowhere.
  metrics::registry* registry = nullptr;
};

/// What a pool has and did.
struct pool_stats {
  std::size_t in_use = 0;      ///< Leased.
  std::size_t idle = 0;        ///< Free.
  std::size_t pending = 0;     ///< Being connected, reset or pinged.
  std::size_t waiting = 0;     ///< Acquirers in the queue.
  std::uint64_t connects = 0;  ///< Sessions opened, ever; the others likewise.
  std::uint64_t connect_failures = 0;
  std::uint64_t timeouts = 0;  ///< Acquires that waited in vain.
  std::uint64_t refused = 0;   ///< Acquires that found the queue full.
  std::uint64_t leaks = 0;     ///< Leases reported as held too long.
};

}  // namespace penstock::db
