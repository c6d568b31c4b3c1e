#pragma once

// One simulated connection: two ends, and the bytes on their way between them.

#include "network_implementation.h"
#include "penstock/async/event.h"
#include "penstock/testing/ledger.h"

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace penstock::testing {

// Invariants: segments of one direction arrive in the order they were sent; `unacknowledged` is what was sent and not
// read, or read and not yet acknowledged; an end that is broken or closed, or has said its end, sends no more bytes.
// Shared by its two streams.
class network_connection {
 public:
  static constexpr std::size_t client = 0;
  static constexpr std::size_t server = 1;

  network_connection(std::shared_ptr<network::implementation> home, const std::string& from, std::uint16_t from_port,
                     const std::string& to, std::uint16_t to_port);
  network_connection(const network_connection&) = delete;
  network_connection& operator=(const network_connection&) = delete;
  ~network_connection();

  // For the streams, each with the number of its end.
  event& changed(std::size_t end) noexcept { return ends_[end].changed; }
  const std::string& address(std::size_t end) const noexcept { return ends_[end].address; }
  // Why nothing more comes or goes; empty while it does.
  const std::string& trouble(std::size_t end) const noexcept { return ends_[end].trouble; }
  bool readable(std::size_t end) const noexcept { return !ends_[end].arrived.empty() || ends_[end].heard_end; }
  std::size_t take(std::size_t end, std::span<std::byte> to);
  std::size_t send(std::size_t end, std::string_view bytes);
  void finish(std::size_t end) noexcept;
  void close(std::size_t end) noexcept;
  void abort(std::size_t end) noexcept;  // closes by a reset

  // For the network.
  const std::string& host(std::size_t end) const noexcept { return ends_[end].host; }
  bool between(const std::string& a, const std::string& b) const noexcept;
  bool is_open(std::size_t end) const noexcept { return !ends_[end].closed; }
  bool has_finished(std::size_t end) const noexcept { return ends_[end].said_end; }
  void reset(const std::string& why) noexcept;
  void paths_changed();
  std::string netstat() const;
  duration latency() const noexcept { return ends_[client].latency; }

 private:
  struct segment {
    enum class kind : std::uint8_t { data, end, reset };
    time_point arrives;
    kind what;
    std::string bytes;
  };
  struct endpoint_state;
  struct delivery_timer : timer {
    explicit delivery_timer(endpoint_state& e) noexcept : timer(&fire), of(e) {}
    static void fire(timer& t) noexcept;
    endpoint_state& of;
  };
  struct patience_timer : timer {
    explicit patience_timer(endpoint_state& e) noexcept : timer(&fire), of(e) {}
    static void fire(timer& t) noexcept;
    endpoint_state& of;
  };
  // An end, with what it has sent.
  struct endpoint_state {
    endpoint_state(network_connection& c, std::size_t n) : home(c), number(n) {}

    network_connection& home;
    std::size_t number;
    std::string host;
    std::string address;
    event changed;
    std::string arrived;
    bool heard_end = false;
    bool said_end = false;
    bool closed = false;
    std::string trouble;
    std::deque<segment> under_way;
    std::size_t unacknowledged = 0;
    std::size_t withheld = 0;  // read by the peer, whose acknowledgement can't come back
    std::uint64_t sent_bytes = 0;
    duration latency{};
    time_point line_free = time_point::min();
    time_point last_arrival = time_point::min();
    delivery_timer delivery{*this};
    patience_timer patience{*this};
  };

  endpoint_state& peer(const endpoint_state& e) noexcept { return ends_[1 - e.number]; }
  bool passes(std::size_t from) const noexcept;
  void close_with(std::size_t end, std::optional<segment::kind> last) noexcept;
  void push(endpoint_state& e, segment::kind what, std::string bytes);
  void arm(endpoint_state& e);
  void deliver(endpoint_state& e);
  void arrive(endpoint_state& at, segment s);
  void acknowledge(endpoint_state& reader, std::size_t bytes);
  void stall(endpoint_state& e);
  void break_end(endpoint_state& e, const std::string& why) noexcept;
  static void notify(endpoint_state& e) noexcept;

  std::shared_ptr<network::implementation> home_;
  std::array<endpoint_state, 2> ends_{endpoint_state{*this, client}, endpoint_state{*this, server}};
  std::optional<std::size_t> segments_until_silence_;
};

}  // namespace penstock::testing
