#include "network_connection.h"

#include "penstock/core/units.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

// A direction has two timers: one delivers what is under way, the other counts the time for which nothing could be
// acknowledged. What cut the path holds both up until `paths_changed`.

namespace penstock::testing {
namespace {

std::string text_of(const std::string& host, std::uint16_t port) { return host + ":" + std::to_string(port); }

duration transmission_time(std::size_t bytes, std::uint64_t bytes_per_second) {
  if (bytes_per_second == 0) return {};
  return duration(static_cast<duration::rep>(bytes * 1'000'000'000 / bytes_per_second));
}

}  // namespace

network_connection::network_connection(std::shared_ptr<network::implementation> home, const std::string& from,
                                       std::uint16_t from_port, const std::string& to, std::uint16_t to_port)
    : home_(std::move(home)) {
  ends_[client].host = from;
  ends_[client].address = text_of(from, from_port);
  ends_[server].host = to;
  ends_[server].address = text_of(to, to_port);
  for (endpoint_state& e : ends_) e.latency = home_->draw_latency();
  if (home_->random().chance(home_->faults.silence)) segments_until_silence_ = home_->random().below(20);
  home_->add(*this);
}

network_connection::~network_connection() { home_->remove(*this); }

bool network_connection::between(const std::string& a, const std::string& b) const noexcept {
  return (ends_[client].host == a && ends_[server].host == b) || (ends_[client].host == b && ends_[server].host == a);
}

bool network_connection::passes(std::size_t from) const noexcept {
  return segments_until_silence_ != 0 && home_->passes(ends_[from].host, ends_[1 - from].host);
}

std::size_t network_connection::take(std::size_t end, std::span<std::byte> to) {
  endpoint_state& e = ends_[end];
  std::size_t n = home_->piece_of(std::min(to.size(), e.arrived.size()));
  std::memcpy(to.data(), e.arrived.data(), n);
  e.arrived.erase(0, n);
  if (n > 0) acknowledge(e, n);
  return n;
}

std::size_t network_connection::send(std::size_t end, std::string_view bytes) {
  endpoint_state& e = ends_[end];
  std::size_t window = home_->options.window_bytes;
  std::string_view rest = bytes.substr(0, window - std::min(window, e.unacknowledged));
  std::size_t taken = rest.size();
  // A write is cut up as a whole, or not at all: so its pieces are seen, and a long one costs few draws.
  while (!rest.empty() && e.trouble.empty()) {
    std::size_t piece = home_->piece_of(std::min(rest.size(), home_->options.segment_bytes));
    if (home_->random().chance(home_->faults.reset)) {
      reset("reset by the network");
      break;
    }
    e.unacknowledged += piece;
    e.sent_bytes += piece;
    push(e, segment::kind::data, std::string(rest.substr(0, piece)));
    rest.remove_prefix(piece);
  }
  return taken;
}

void network_connection::finish(std::size_t end) noexcept {
  endpoint_state& e = ends_[end];
  if (e.said_end || e.closed || !e.trouble.empty()) return;
  e.said_end = true;
  push(e, segment::kind::end, {});
}

void network_connection::close(std::size_t end) noexcept {
  const endpoint_state& e = ends_[end];
  if (!e.arrived.empty())
    close_with(end, segment::kind::reset);
  else
    close_with(end, e.said_end ? std::nullopt : std::optional(segment::kind::end));
}

void network_connection::abort(std::size_t end) noexcept { close_with(end, segment::kind::reset); }

void network_connection::close_with(std::size_t end, std::optional<segment::kind> last) noexcept {
  endpoint_state& e = ends_[end];
  if (e.closed) return;
  if (last && e.trouble.empty()) push(e, *last, {});
  e.closed = true;
  e.arrived.clear();
  notify(e);
}

void network_connection::push(endpoint_state& e, segment::kind what, std::string bytes) {
  scheduler* clock = scheduler::current_or_null();
  if (clock == nullptr) return;  // the run is over
  if (segments_until_silence_ && *segments_until_silence_ > 0) --*segments_until_silence_;
  duration most_jitter = home_->faults.jitter;
  duration jitter = most_jitter > duration::zero() ? home_->random().between({}, most_jitter) : duration();
  e.line_free = std::max(e.line_free, clock->now()) + transmission_time(bytes.size(), home_->options.bytes_per_second);
  e.last_arrival = std::max(e.last_arrival, e.line_free + e.latency + jitter);
  e.under_way.push_back({e.last_arrival, what, std::move(bytes)});
  arm(e);
}

void network_connection::arm(endpoint_state& e) {
  if (e.under_way.empty() || e.delivery.pending()) return;
  scheduler::current().add_timer(e.delivery, e.under_way.front().arrives);
}

void network_connection::delivery_timer::fire(timer& t) noexcept {
  endpoint_state& e = static_cast<delivery_timer&>(t).of;
  e.home.deliver(e);
}

void network_connection::deliver(endpoint_state& e) {
  if (!passes(e.number)) {
    stall(e);
    return;
  }
  time_point now = scheduler::current().now();
  while (!e.under_way.empty() && e.under_way.front().arrives <= now) {
    segment s = std::move(e.under_way.front());
    e.under_way.pop_front();
    arrive(peer(e), std::move(s));
  }
  arm(e);
}

void network_connection::arrive(endpoint_state& at, segment s) {
  if (s.what == segment::kind::reset) {
    break_end(at, "reset by the peer");
    return;
  }
  if (s.what == segment::kind::end) {
    at.heard_end = true;
    notify(at);
    return;
  }
  if (at.closed || !at.trouble.empty()) {
    // Nobody is there to read it (RFC 9293, 3.10.7.1).
    push(at, segment::kind::reset, {});
    return;
  }
  assert(!at.heard_end);
  at.arrived += s.bytes;
  notify(at);
}

void network_connection::acknowledge(endpoint_state& reader, std::size_t bytes) {
  endpoint_state& sender = peer(reader);
  if (!passes(reader.number)) {
    sender.withheld += bytes;
    stall(sender);
    return;
  }
  sender.unacknowledged -= bytes;
  notify(sender);
}

// Ends that are told nothing keep waiting; one that has sent something gives up some time.
void network_connection::stall(endpoint_state& e) {
  if (e.patience.pending() || !e.trouble.empty()) return;
  scheduler& clock = scheduler::current();
  clock.add_timer(e.patience, clock.now() + home_->options.give_up);
}

void network_connection::patience_timer::fire(timer& t) noexcept {
  endpoint_state& e = static_cast<patience_timer&>(t).of;
  e.home.break_end(e, "nothing was acknowledged for " + format_duration(e.home.home_->options.give_up));
}

void network_connection::paths_changed() {
  if (home_->faults.silence <= 0) segments_until_silence_.reset();
  scheduler* clock = scheduler::current_or_null();
  if (clock == nullptr) return;
  for (endpoint_state& e : ends_) {
    bool there = passes(e.number);
    bool back = passes(1 - e.number);
    if (back && e.withheld > 0) {
      e.unacknowledged -= std::exchange(e.withheld, 0);
      notify(e);
    }
    if (there && back) e.patience.cancel();
    if (!there || e.delivery.pending()) continue;
    // Held back until now: it is sent again.
    time_point again = clock->now() + e.latency;
    for (segment& s : e.under_way) s.arrives = std::max(s.arrives, again);
    e.last_arrival = std::max(e.last_arrival, again);
    arm(e);
  }
}

void network_connection::reset(const std::string& why) noexcept {
  for (endpoint_state& e : ends_) break_end(e, why);
}

void network_connection::break_end(endpoint_state& e, const std::string& why) noexcept {
  if (!e.trouble.empty()) return;
  e.trouble = why;
  e.under_way.clear();
  e.delivery.cancel();
  e.patience.cancel();
  notify(e);
}

void network_connection::notify(endpoint_state& e) noexcept {
  e.changed.set();
  e.changed.clear();
}

std::string network_connection::netstat() const {
  std::string line = ends_[client].address + " -> " + ends_[server].address;
  for (const endpoint_state& e : ends_) {
    line += e.number == client ? "  client " : "  server ";
    line += !e.trouble.empty() ? e.trouble : e.closed ? "closed" : e.said_end ? "finished sending" : "open";
    line += ", sent " + std::to_string(e.sent_bytes) + ", under way " + std::to_string(e.under_way.size()) +
            ", unread " + std::to_string(e.arrived.size());
    if (!passes(e.number)) line += ", nothing passes";
  }
  return line;
}

}  // namespace penstock::testing
