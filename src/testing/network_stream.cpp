#include "network_stream.h"

#include "penstock/net/error.h"
#include "penstock/testing/failure_point.h"

#include <utility>

namespace penstock::testing {
namespace {

task<void> wait_for(event& changed) {
  auto waiting = changed.wait();
  co_await waiting;
}

}  // namespace

// One read and one write at a time: what real streams leave to their users, this one checks.
class network_stream::operation {
 public:
  operation(bool& flag, const char* what) : flag_(flag) {
    if (flag_) throw error(net::net_errc::io_failed, std::string("two ") + what + " at a time on one stream");
    flag_ = true;
  }
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;
  ~operation() { flag_ = false; }

 private:
  bool& flag_;
};

network_stream::network_stream(std::shared_ptr<network_connection> c, std::size_t end, std::source_location made_at)
    : connection_(std::move(c)), end_(end) {
  open_.emplace("connection", connection_->address(end) + " to " + connection_->address(1 - end), made_at);
}

task<std::size_t> network_stream::read_some(std::span<std::byte> buffer) {
  operation one(reading_, "reads");
  if (should_fail("network.read")) connection_->reset("reset by a chosen failure");
  while (connection_->is_open(end_) && connection_->trouble(end_).empty() && !connection_->readable(end_)) {
    task<void> waiting = wait_for(connection_->changed(end_));
    co_await std::move(waiting);
  }
  if (!connection_->is_open(end_)) fail("read");
  std::size_t n = connection_->take(end_, buffer);
  if (n == 0 && !buffer.empty() && !connection_->trouble(end_).empty()) fail("read");
  co_return n;
}

task<void> network_stream::write(std::span<const std::span<const std::byte>> buffers) {
  operation one(writing_, "writes");
  if (should_fail("network.write")) connection_->reset("reset by a chosen failure");
  bool has_waited = false;
  for (std::span<const std::byte> buffer : buffers) {
    std::string_view rest(reinterpret_cast<const char*>(buffer.data()), buffer.size());
    while (!rest.empty()) {
      if (!connection_->is_open(end_) || !connection_->trouble(end_).empty() || connection_->has_finished(end_))
        fail("write");
      std::size_t sent = connection_->send(end_, rest);
      rest.remove_prefix(sent);
      peer_took_some_ = has_waited && (peer_took_some_ || sent > 0);
      if (rest.empty()) break;
      has_waited = true;
      task<void> waiting = wait_for(connection_->changed(end_));
      co_await std::move(waiting);
    }
  }
}

void network_stream::close() noexcept {
  connection_->close(end_);
  open_.reset();
}

void network_stream::reset() noexcept {
  connection_->abort(end_);
  open_.reset();
}

void network_stream::fail(const char* doing) const {
  std::string why = !connection_->is_open(end_)           ? "closed on this side"
                    : !connection_->trouble(end_).empty() ? connection_->trouble(end_)
                                                          : "this side has said that it sends no more";
  throw error(net::net_errc::connection_closed, std::string(doing) + ": the connection " + connection_->address(end_) +
                                                    " to " + connection_->address(1 - end_) + " is gone: " + why);
}

network_listener::network_listener(std::shared_ptr<network::implementation> home, const std::string& host,
                                   std::uint16_t port, std::source_location made_at)
    : home_(std::move(home)), where_(net::endpoint::tcp(host, port)), made_at_(made_at) {
  open_.emplace("listener", where_.to_string(), made_at);
}

task<std::unique_ptr<net::stream>> network_listener::accept() {
  while (waiting_.empty() && !closed_) {
    task<void> waiting = wait_for(changed_);
    co_await std::move(waiting);
  }
  if (closed_) throw error(net::net_errc::connection_closed, "accept: the listener was closed");
  std::unique_ptr<net::stream> first = std::move(waiting_.front());
  waiting_.pop_front();
  co_return first;
}

bool network_listener::has_room() const noexcept { return waiting_.size() < home_->options.backlog; }

void network_listener::queue(std::unique_ptr<net::stream> fresh) {
  waiting_.push_back(std::move(fresh));
  changed_.set();
  changed_.clear();
}

void network_listener::close() noexcept {
  if (std::exchange(closed_, true)) return;
  home_->listeners.erase({where_.host(), where_.port()});
  waiting_.clear();
  open_.reset();
  changed_.set();
}

}  // namespace penstock::testing
