#include "penstock/testing/network.h"

#include "drawn_faults.h"
#include "network_connection.h"
#include "network_implementation.h"
#include "network_stream.h"
#include "penstock/async/timeout.h"
#include "penstock/net/error.h"
#include "penstock/testing/failure_point.h"
#include "penstock/testing/simulation.h"

#include <algorithm>
#include <utility>

// Hosts, paths and listeners are kept in ordered containers and connections in the order they were made: nothing
// depends on addresses, so a seed gives the same run everywhere.

namespace penstock::testing {
namespace {

constexpr std::size_t longest_slice = 16;
// Connections that are gone, and still listed in reports.
constexpr std::size_t most_ended = 16;
// How long a connect waits before it knocks again at a full backlog (TCP's first retransmission: RFC 6298, 2).
constexpr auto knock_again_after = std::chrono::seconds(1);

task<void> wait_for(event& changed) {
  auto waiting = changed.wait();
  co_await waiting;
}

error refused(const net::endpoint& to) {
  return error(net::net_errc::connect_failed, "connect to " + to.to_string() + ": connection refused");
}

}  // namespace

network::network(const network_options& options) : implementation_(std::make_shared<implementation>(options)) {}

network::~network() = default;

std::unique_ptr<net::listener> network::listen(const std::string& host, std::uint16_t port,
                                               std::source_location where) {
  implementation& n = *implementation_;
  if (port == 0) port = n.next_port++;
  if (n.listeners.contains({host, port}))
    throw error(net::net_errc::listen_failed,
                "listen on " + host + ":" + std::to_string(port) + ": the address is in use already");
  auto fresh = std::make_unique<network_listener>(implementation_, host, port, where);
  n.listeners[{host, port}] = fresh.get();
  n.hosts.insert(host);
  return fresh;
}

task<std::unique_ptr<net::stream>> network::connect(std::string from, net::endpoint to,
                                                    const net::connect_options& options, std::source_location where) {
  return with_timeout(options.timeout, implementation_->shake_hands(std::move(from), std::move(to), where));
}

std::function<task<std::unique_ptr<net::stream>>(net::endpoint)> network::connector(std::string from,
                                                                                    std::source_location where) {
  return [this, from = std::move(from), where](net::endpoint to) { return connect(from, std::move(to), {}, where); };
}

task<std::unique_ptr<net::stream>> network::implementation::shake_hands(std::string from, net::endpoint to,
                                                                        std::source_location where) {
  std::shared_ptr<implementation> alive = shared_from_this();
  if (should_fail("network.connect")) throw refused(to);
  if (!hosts.contains(to.host()))
    throw error(net::net_errc::resolve_failed, "'" + to.host() +
                                                   "' is no host of this network: nobody ever listened "
                                                   "on it");
  duration there = draw_latency();
  duration back = draw_latency();
  bool refuse = random().chance(faults.refuse);
  task<network_listener*> reaching = reach(&from, &to, there);
  network_listener* at = co_await std::move(reaching);
  if (at == nullptr || refuse) {
    co_await sleep_for(back);
    throw refused(to);
  }
  auto made = std::make_shared<network_connection>(alive, from, next_port++, to.host(), to.port());
  at->queue(std::make_unique<network_stream>(made, network_connection::server, at->made_at()));
  auto mine = std::make_unique<network_stream>(made, network_connection::client, where);
  arm_chaos();
  co_await sleep_for(back);
  co_return mine;
}

// Null when nobody listens there.
task<network_listener*> network::implementation::reach(const std::string* from, const net::endpoint* to,
                                                       duration latency) {
  for (;;) {
    co_await sleep_for(latency);
    while (!passes(*from, to->host()) || !passes(to->host(), *from)) {
      task<void> waiting = wait_for(healed);
      co_await std::move(waiting);
    }
    auto found = listeners.find({to->host(), to->port()});
    if (found == listeners.end()) co_return nullptr;
    if (found->second->has_room()) co_return found->second;
    co_await sleep_for(knock_again_after);
  }
}

void network::partition_one_way(const std::string& from, const std::string& to) {
  implementation_->cut.insert({from, to});
  implementation_->paths_changed();
}

void network::partition(const std::string& a, const std::string& b) {
  implementation_->cut.insert({a, b});
  implementation_->cut.insert({b, a});
  implementation_->paths_changed();
}

void network::isolate(const std::string& host) {
  implementation_->isolated.insert(host);
  implementation_->paths_changed();
}

void network::reset(const std::string& a, const std::string& b) {
  for (network_connection* c : implementation_->connections)
    if (c->between(a, b)) c->reset("reset by the test");
}

void network::set_latency(duration least, duration most) {
  implementation_->options.least_latency = least;
  implementation_->options.most_latency = std::max(least, most);
}

void network::set_faults(const network_faults& chances) {
  implementation& n = *implementation_;
  n.faults = chances.enabled();
  n.chaos.cancel();
  n.next_partition = time_point::max();
  n.arm_chaos();
}

void network::heal() {
  implementation& n = *implementation_;
  n.cut.clear();
  n.isolated.clear();
  n.cut_until.clear();
  set_faults({});
  n.paths_changed();
}

std::size_t network::open_ends() const noexcept {
  std::size_t count = 0;
  for (const network_connection* c : implementation_->connections)
    for (std::size_t end : {network_connection::client, network_connection::server}) count += c->is_open(end) ? 1 : 0;
  return count;
}

std::string network::netstat() const { return implementation_->netstat(); }

std::string network::implementation::netstat() const {
  std::string text;
  for (const auto& [where, listening] : listeners)
    text += "listening on " + where.first + ":" + std::to_string(where.second) + "\n";
  for (const network_connection* c : connections) text += c->netstat() + "\n";
  for (const auto& [from, to] : cut) text += "cut: " + from + " to " + to + "\n";
  for (const auto& [between, until] : cut_until)
    text.append("cut by chance: ").append(between.first).append(" to ").append(between.second).append("\n");
  for (const std::string& host : isolated) text += "cut off: " + host + "\n";
  return text.empty() ? "no listener and no connection\n" : text;
}

std::string network::implementation::list_ended() const {
  std::string text;
  for (const std::string& line : ended) text += "ended: " + line + "\n";
  return text;
}

random_stream& network::implementation::random() {
  if (numbers == nullptr) {
    numbers = &simulation::current().random_for("network");
    report.emplace("network", [this] { return netstat() + list_ended(); });
  }
  return *numbers;
}

duration network::implementation::draw_latency() {
  return random().between(options.least_latency, options.most_latency);
}

bool network::implementation::passes(const std::string& from, const std::string& to) const noexcept {
  if (cut.empty() && cut_until.empty() && isolated.empty()) return true;
  path between(from, to);
  return !cut.contains(between) && !cut_until.contains(between) && !isolated.contains(from) && !isolated.contains(to);
}

std::size_t network::implementation::piece_of(std::size_t whole) {
  if (whole < 2 || !random().chance(faults.slice)) return whole;
  return std::min<std::size_t>(whole, 1 + random().below(longest_slice));
}

void network::implementation::add(network_connection& c) { connections.push_back(&c); }

void network::implementation::remove(network_connection& c) noexcept {
  std::erase(connections, &c);
  ended.push_back(c.netstat());
  if (ended.size() > most_ended) ended.pop_front();
}

void network::implementation::paths_changed() {
  for (network_connection* c : connections) c->paths_changed();
  healed.set();
  healed.clear();
}

// Only while there are connections: a run whose tasks all wait must be seen to be deadlocked.
void network::implementation::arm_chaos() {
  scheduler* clock = scheduler::current_or_null();
  if (clock == nullptr || chaos.pending()) return;
  if (faults.partition_every > duration::zero() && !connections.empty() && next_partition == time_point::max())
    next_partition = clock->now() + around(random(), faults.partition_every);
  time_point next = next_partition;
  for (const auto& [between, until] : cut_until) next = std::min(next, until);
  if (next != time_point::max()) clock->add_timer(chaos, next);
}

void network::implementation::change_partitions() {
  time_point now = scheduler::current().now();
  std::erase_if(cut_until, [&](const auto& entry) { return entry.second <= now; });
  if (next_partition <= now) {
    next_partition = time_point::max();
    if (!connections.empty()) {
      const network_connection& between = *connections[random().below(connections.size())];
      path there(between.host(network_connection::client), between.host(network_connection::server));
      path back(there.second, there.first);
      time_point until = now + around(random(), faults.partition_for);
      bool one_way = random().chance(faults.one_way);
      if (one_way && random().chance(0.5)) std::swap(there, back);
      cut_until[there] = until;
      if (!one_way) cut_until[back] = until;
    }
  }
  paths_changed();
  arm_chaos();
}

}  // namespace penstock::testing
