#pragma once

// What a server counts. Invariant: in steady state counting is a few additions: the handles of a route, method and
// status class are looked up when that combination is first seen.

#include "penstock/async/scheduler.h"
#include "penstock/http/router.h"
#include "penstock/http/server.h"
#include "penstock/observe/metrics.h"

#include <array>
#include <atomic>
#include <bitset>
#include <string>
#include <vector>

namespace penstock::http {

// The numbers of `server_stats`: written by the server's thread alone, read by those that render metrics too.
class server_counts {
 public:
  void connection_opened() noexcept { change(connections_, 1), change(open_connections_, 1); }
  void connection_ended() noexcept { change(open_connections_, -1); }
  void request_began() noexcept { change(in_flight_, 1); }
  void request_ended() noexcept { change(in_flight_, -1), change(requests_, 1); }

  std::size_t open_connections() const noexcept { return open_connections_.load(std::memory_order_relaxed); }
  server_stats read() const noexcept {
    return {connections_.load(std::memory_order_relaxed), open_connections(), requests_.load(std::memory_order_relaxed),
            in_flight_.load(std::memory_order_relaxed)};
  }

 private:
  static void change(std::atomic<std::uint64_t>& number, int by) noexcept {
    number.store(number.load(std::memory_order_relaxed) + static_cast<std::uint64_t>(by), std::memory_order_relaxed);
  }

  std::atomic<std::uint64_t> connections_ = 0;
  std::atomic<std::uint64_t> open_connections_ = 0;
  std::atomic<std::uint64_t> requests_ = 0;
  std::atomic<std::uint64_t> in_flight_ = 0;
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
  metrics::gauge open_connections_;
  metrics::gauge in_flight_;
  server_stats shown_;  // this server's part of the gauges
  std::uint64_t hook_;
};

}  // namespace penstock::http
