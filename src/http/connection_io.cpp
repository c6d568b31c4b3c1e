#include "connection.h"
#include "penstock/async/timeout.h"
#include "penstock/net/error.h"
#include "server_implementation.h"

#include <algorithm>

namespace penstock::http {
namespace {

// What a client must take within the write timeout where its stream can't tell that it takes some.
constexpr std::size_t write_slice_bytes = std::size_t{64} << 10;
// Of what a client sends behind its last answer.
constexpr std::uint64_t most_dropped = std::uint64_t{64} << 20;

}  // namespace

task<std::size_t> connection::fill() {
  task<std::size_t> reading = stream_->read_some(in_.room());
  std::size_t n = co_await std::move(reading);
  in_.added(n);
  if (owner_.metrics) owner_.metrics->received(n);
  co_return n;
}

task<void> connection::flush() {
  if (out_.empty()) co_return;
  head_gone_ = true;
  if (broken_) throw error(net::net_errc::connection_closed, "an earlier write failed");
  broken_ = true;
  for (std::size_t sent = 0; sent < out_.size();) {
    std::string_view slice = std::string_view(out_).substr(sent, write_slice_bytes);
    enter(phase::writing);
    std::span<const std::byte> one[] = {net::bytes_of(slice)};
    task<void> writing = stream_->write(one);
    co_await std::move(writing);
    sent += slice.size();
  }
  broken_ = false;
  if (owner_.metrics) owner_.metrics->sent(out_.size());
  out_.clear();
  held_.clear();
  if (out_.capacity() > owner_.options.max_pipelined_bytes) out_.shrink_to_fit();
}

// Reading on for a moment after the last answer keeps the system from resetting the connection before the client has
// read it (RFC 9112, 9.6). Some do so only when they have sent all of a long body.
task<void> connection::linger() {
  enter(phase::closing);
  auto drop = [](connection& c) -> task<void> {
    for (std::uint64_t dropped = 0; dropped < std::max(most_dropped, c.owner_.options.max_drained_bytes);) {
      c.in_.clear();
      task<std::size_t> reading = c.fill();
      std::size_t n = co_await std::move(reading);
      if (n == 0) co_return;
      dropped += n;
    }
    co_await sleep_for(farewell);  // no more is read, but closing would reset the connection
  };
  try {
    task<void> limited = with_timeout(farewell, drop(*this));
    co_await std::move(limited);
  } catch (const timed_out&) {
    co_return;  // the client had its time
  }
}

void connection::enter(phase p) noexcept {
  const server_options& limits = owner_.options;
  duration limit = duration::max();
  phase_ = p;
  switch (p) {
    case phase::idle:
      // A client that connected as the server stopped may have a request under way.
      limit = finishing_ ? duration(farewell) : limits.idle_timeout;
      break;
    case phase::head:
      limit = limits.header_timeout;
      break;
    case phase::body:
      limit = limits.body_timeout;
      break;
    case phase::writing:
      limit = limits.write_timeout;
      break;
    case phase::handling:
    case phase::closing:
      break;
  }
  expire_at(penstock::detail::deadline_after(loop_, limit));
}

void connection::expire_at(time_point when) noexcept {
  expires_ = when;
  spared_ = 0;
  if (expires_ == time_point::max() || (watchdog_.pending() && watchdog_.deadline() <= expires_)) return;
  watchdog_.cancel();
  loop_.add_timer(watchdog_, expires_);
}

void connection::watch(timer& t) noexcept {
  connection& self = static_cast<watchdog&>(t).owner;
  if (self.expires_ == time_point::max()) return;
  if (self.loop_.now() < self.expires_) {
    self.loop_.add_timer(t, self.expires_);
    return;
  }
  // Timers fire before the sockets are looked at, and before what was found there is read: a client must not pay for a
  // loop that was held up. The first delay is as long as that, since many may have sent something meanwhile.
  if (self.spared_ < 2) {
    duration late = self.spared_ == 0 ? self.loop_.now() - self.expires_ : duration::zero();
    ++self.spared_;
    self.loop_.add_timer(t, self.loop_.now() + late);
    return;
  }
  // As long as it takes some each time; when it last did is not known, so one that stops is left up to twice as late.
  if (self.phase_ == phase::writing && self.stream_->peer_took_some()) return self.enter(phase::writing);
  self.expired_ = true;
  self.head_expired_ = self.handler_scope_ == nullptr && self.phase_ == phase::head;
  self.ends_quietly_ = self.handler_scope_ == nullptr && self.phase_ != phase::head;
  cancel_scope& waiting = self.handler_scope_ == nullptr ? self.scope_ : *self.handler_scope_;
  waiting.cancel("the client was too slow");
}

}  // namespace penstock::http
