#pragma once

#include "penstock/async/event.h"
#include "penstock/testing/network.h"
#include "penstock/testing/random_stream.h"
#include "penstock/testing/report_section.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace penstock::testing {

class network_connection;
class network_listener;

// What is behind a network; shared with its streams and listeners, so that they may outlive it.
struct network::implementation : std::enable_shared_from_this<network::implementation> {
  explicit implementation(const network_options& o) : options(o) {}

  // Drawn from.
  random_stream& random();
  duration draw_latency();
  bool passes(const std::string& from, const std::string& to) const noexcept;
  // How much of so many bytes goes in one piece; `whole` when nothing cuts it up.
  std::size_t piece_of(std::size_t whole);

  void add(network_connection& c);
  void remove(network_connection& c) noexcept;
  void paths_changed();
  // Partitions by chance.
  void arm_chaos();
  void change_partitions();
  std::string netstat() const;
  std::string list_ended() const;
  task<std::unique_ptr<net::stream>> shake_hands(std::string from, net::endpoint to, std::source_location where);
  task<network_listener*> reach(const std::string* from, const net::endpoint* to, duration latency);

  struct chaos_timer : timer {
    explicit chaos_timer(implementation& n) noexcept : timer(&fire), home(n) {}
    static void fire(timer& t) noexcept { static_cast<chaos_timer&>(t).home.change_partitions(); }
    implementation& home;
  };
  using path = std::pair<std::string, std::string>;

  network_options options;
  network_faults faults;
  random_stream* numbers = nullptr;  // of the simulation
  std::set<path> cut;
  std::set<std::string> isolated;
  std::map<path, time_point> cut_until;  // by chance
  std::map<std::pair<std::string, std::uint16_t>, network_listener*> listeners;
  std::set<std::string> hosts;  // on which somebody listened
  std::vector<network_connection*> connections;
  std::deque<std::string> ended;  // what netstat said last of connections that are gone
  std::uint16_t next_port = 40'000;
  event healed;
  time_point next_partition = time_point::max();
  chaos_timer chaos{*this};
  std::optional<report_section> report;  // from the first use on; the last member, since it tells of the others
};

}  // namespace penstock::testing
