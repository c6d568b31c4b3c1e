#include "socket_stream.h"

#include "event_loop_implementation.h"
#include "penstock/async/yield.h"
#include "penstock/net/asio.h"
#include "penstock/net/error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace penstock::net {
namespace {

constexpr std::size_t most_buffers_a_call = 64;

// What a write to a peer that takes everything sends before others have their turn: about a millisecond's worth.
constexpr std::size_t most_bytes_a_turn = std::size_t{4} << 20;

// What is left to write of a list of buffers.
class remaining_buffers {
 public:
  explicit remaining_buffers(std::span<const std::span<const std::byte>> buffers) noexcept : buffers_(buffers) {
    skip_empty();
  }

  bool empty() const noexcept { return buffers_.empty(); }
  std::size_t fill(std::span<iovec> out) const noexcept {
    std::size_t count = std::min(out.size(), buffers_.size());
    for (std::size_t i = 0; i < count; ++i) {
      std::span<const std::byte> b = i == 0 ? buffers_[0].subspan(offset_) : buffers_[i];
      out[i] = {const_cast<std::byte*>(b.data()), b.size()};
    }
    return count;
  }
  void consume(std::size_t n) noexcept {
    offset_ += n;
    skip_empty();
  }

 private:
  void skip_empty() noexcept {
    while (!buffers_.empty() && offset_ >= buffers_.front().size()) {
      offset_ -= buffers_.front().size();
      buffers_ = buffers_.subspan(1);
    }
  }

  std::span<const std::span<const std::byte>> buffers_;
  std::size_t offset_ = 0;
};

// On a connection that was made, "no route to host" and "timed out" mean that it broke.
void throw_if_broken(const boost::system::error_code& code, const char* doing) {
  if (code == boost::asio::error::timed_out || code == boost::asio::error::host_unreachable ||
      code == boost::asio::error::network_unreachable || code == boost::asio::error::network_down)
    throw error(net_errc::connection_closed, std::string(doing) + ": " + code.message());
  throw_if_failed(code, doing);
}

// Writes what the socket takes; 0 when it takes nothing now, -1 with errno when it failed.
ssize_t send_some(int socket, const remaining_buffers& rest) noexcept {
  std::array<iovec, most_buffers_a_call> parts;
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = rest.fill(parts);
  for (;;) {
    ssize_t n = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno != EINTR) return -1;
  }
}

}  // namespace

socket_stream::socket_stream(stream_socket socket, std::string remote_address, std::source_location made_at)
    : tracked("connection"), remote_address_(std::move(remote_address)) {
  std::shared_ptr<loop_sockets>& home = event_loop::current().native().sockets;
  set_ = {home, &home->set};
  enter(made_at);
  boost::system::error_code ignored;  // a socket that can't be set up fails at its first use
  bool is_unix = socket.local_endpoint(ignored).protocol().family() == AF_UNIX;
  socket_ = socket.release(ignored);
  if (ignored || !set_->add(socket_, readiness_)) {
    close();
    return;
  }
  int on = 1;
  if (is_unix) return;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // Urgent data is a part of the stream like any other (RFC 6093).
  ::setsockopt(socket_, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

task<std::size_t> socket_stream::read_some(std::span<std::byte> buffer) {
  if (buffer.empty()) co_return 0;
  if (std::exchange(yields_, false)) co_await yield();
  for (;;) {
    if (socket_ < 0) throw error(net_errc::connection_closed, "read: the stream was closed");
    if (readiness_.readable) {
      ssize_t n = ::recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n >= 0) {
        if (n == 0 && failure_ != 0) throw_if_broken(kept(failure_), "read");
        auto count = static_cast<std::size_t>(n);
        // A short read has emptied the socket, and what comes makes a new edge; but the end made its edge already, and
        // urgent data may have.
        readiness_.readable = count == buffer.size() || readiness_.short_reads;
        // A peer that sends faster than it is served must not keep the loop to itself.
        yields_ = count == buffer.size();
        co_return count;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) throw_if_broken(kept(errno), "read");
      readiness_.readable = false;
    }
    set_->require_loop("the stream");
    readiness_wait wait(readiness_.reader);
    co_await wait;
  }
}

task<void> socket_stream::write(std::span<const std::span<const std::byte>> buffers) {
  remaining_buffers rest(buffers);
  bool has_waited = false;
  std::size_t sent_this_turn = 0;
  while (!rest.empty()) {
    if (sent_this_turn >= most_bytes_a_turn) {
      sent_this_turn = 0;
      co_await yield();
    }
    if (socket_ < 0) throw error(net_errc::connection_closed, "write: the stream was closed");
    ssize_t result = send_some(socket_, rest);
    if (result < 0) throw_if_broken(kept(errno), "write");
    auto sent = static_cast<std::size_t>(result);
    rest.consume(sent);
    written_ += sent;
    sent_this_turn += sent;
    if (sent > 0) continue;
    if (!std::exchange(has_waited, true)) last_taken_ = taken();
    set_->require_loop("the stream");
    readiness_wait wait(readiness_.writer);
    co_await wait;
    sent_this_turn = 0;
  }
}

// The system tells once of a connection that broke, to the one who asks first, and calls it ended from then on: so
// that what was cut off does not pass for complete, it is kept for the reads that follow. EPIPE is no such failure: it
// says only that nothing more can be sent.
boost::system::error_code socket_stream::kept(int failure) noexcept {
  if (failure_ == 0 && failure != EPIPE) failure_ = failure;
  return {failure, boost::system::system_category()};
}

// That a socket can be written to shows late that its peer takes bytes: when a third of a buffer of megabytes is free.
bool socket_stream::peer_took_some() noexcept {
  std::uint64_t now = taken();
  return std::exchange(last_taken_, now) != now;
}

// Of the bytes written so far, those that the peer's system has; a count that moves with them where the system counts
// memory, as Unix sockets do.
std::uint64_t socket_stream::taken() const noexcept {
  int left = 0;
  if (socket_ >= 0) ::ioctl(socket_, SIOCOUTQ, &left);
  return written_ - static_cast<std::uint64_t>(left);
}

void socket_stream::shutdown_send() noexcept {
  if (socket_ >= 0) ::shutdown(socket_, SHUT_WR);
}

void socket_stream::close() noexcept {
  leave();
  if (socket_ < 0) return;
  set_->remove(socket_);
  ::close(std::exchange(socket_, -1));
  readiness_.wake_all();
}

// A socket that lingers for no time is reset when it is closed (socket(7): SO_LINGER).
void socket_stream::reset() noexcept {
  linger none{1, 0};
  if (socket_ >= 0) ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
  close();
}

task<void> stream::write(std::span<const std::byte> buffer) {
  std::span<const std::byte> one[] = {buffer};
  co_await write(one);
}

}  // namespace penstock::net
