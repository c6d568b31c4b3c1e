#pragma once

// What a server counts. Invariant: in steady state counting is a few additions: the handles of a route, method and
// status class are looked up when that combination is first seen.

#include "penstock/async/scheduler.h"
#include "penstock/http/router.h"
#include "penstock/http/server.h"
#include "penstock/observe/detail/gauge_part.h"
#include "penstock/observe/detail/owned_count.h"
#include "penstock/observe/metrics.h"

#include <array>
#include <bitset>
#include <string>
#include <vector>

namespace penstock::http {

// The numbers of `server_stats`: written by the server's thread alone, read by those that render metrics too.
class server_counts {
 public:
  void connection_opened() noexcept { ++connections_, ++open_connections_; }
  void connection_ended() noexcept { --open_connections_; }
  void request_began() noexcept { ++in_flight_; }
  void request_ended() noexcept { --in_flight_, ++requests_; }

  std::size_t open_connections() const noexcept { return open_connections_; }
  server_stats read() const noexcept { return {connections_, open_connections_, requests_, in_flight_}; }

 private:
  metrics::detail::owned_count connections_, open_connections_, requests_, in_flight_;
};

// A request under way, as `server_counts` knows it.
class request_in_flight {
 public:
  explicit request_in_flight(server_counts& counts) noexcept : counts_(counts) { counts.request_began(); }
  request_in_flight(const request_in_flight&) = delete;
  request_in_flight& operator=(const request_in_flight&) = delete;
  ~request_in_flight() { counts_.request_ended(); }

 private:
  server_counts& counts_;
};

class server_metrics {
 public:
  // All three outlive this.
  server_metrics(metrics::registry& into, const router& routes, const server_counts& counts);
  server_metrics(const server_metrics&) = delete;
  server_metrics& operator=(const server_metrics&) = delete;
  ~server_metrics();

  // `route` is a match's number; an empty method is one that nobody could read.
  void answered(std::size_t route, std::string_view method, int status, duration elapsed);
  void connected() const noexcept { connections_.add(); }
  void received(std::size_t bytes) const noexcept { request_bytes_.add(bytes); }
  void sent(std::size_t bytes) const noexcept { response_bytes_.add(bytes); }

 private:
  static constexpr std::array<std::string_view, 8> methods{"GET",   "POST",   "HEAD",    "PUT",
                                                           "PATCH", "DELETE", "OPTIONS", "other"};
  static constexpr std::size_t classes = 5;

  struct per_route {
    std::string pattern;
    metrics::histogram durations;
    std::array<metrics::counter, methods.size() * classes> requests;
    std::bitset<methods.size() * classes> known;
  };
  void show_gauges() noexcept;

  metrics::registry& registry_;
  const server_counts& counts_;
  std::vector<per_route> routes_;  // by number; the last is of requests that no route fits
  metrics::counter request_bytes_;
  metrics::counter response_bytes_;
  metrics::counter connections_;
  metrics::detail::gauge_part open_connections_;
  metrics::detail::gauge_part in_flight_;
  std::uint64_t hook_;
};

}  // namespace penstock::http
