#include "penstock/net/descriptor.h"

#include "penstock/async/race.h"
#include "penstock/net/asio.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock::net {

using boost::asio::posix::descriptor_base;

struct descriptor_watch::implementation {
  explicit implementation(event_loop& loop) : duplicate(io_context_of(loop).get_executor()) {}

  task<readiness> wait_for(descriptor_base::wait_type what, readiness then) {
    auto waiting = duplicate.async_wait(what, use_task);
    co_await waiting;
    co_return then;
  }

  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> duplicate;
};

descriptor_watch::descriptor_watch(int descriptor)
    : implementation_(std::make_unique<implementation>(event_loop::current())) {
  int own = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  boost::system::error_code refused(own < 0 ? errno : 0, boost::system::system_category());
  throw_if_failed(refused, "duplicate a descriptor");
  implementation_->duplicate.assign(own, refused);
  if (refused) ::close(own);
  throw_if_failed(refused, "watch a descriptor");
}

descriptor_watch::descriptor_watch(descriptor_watch&&) noexcept = default;
descriptor_watch& descriptor_watch::operator=(descriptor_watch&&) noexcept = default;
descriptor_watch::~descriptor_watch() = default;

task<readiness> descriptor_watch::wait(readiness wanted) {
  task<readiness> to_read = implementation_->wait_for(descriptor_base::wait_read, readiness::readable);
  if (!includes(wanted, readiness::writable)) return to_read;
  task<readiness> to_write = implementation_->wait_for(descriptor_base::wait_write, readiness::writable);
  if (!includes(wanted, readiness::readable)) return to_write;
  return race(std::move(to_read), std::move(to_write));
}

// Probes (tcp(7): TCP_KEEPIDLE and its like) notice a peer that is gone while nothing is sent, and TCP_USER_TIMEOUT
// notices one that does not acknowledge what is.
void limit_silence(int descriptor, std::chrono::seconds limit) noexcept {
  auto set = [&](int level, int option, long long value) {
    int number = static_cast<int>(value);
    ::setsockopt(descriptor, level, option, &number, sizeof(number));
  };
  long long third = std::max<long long>(limit.count() / 3, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, third);
  set(IPPROTO_TCP, TCP_KEEPINTVL, third);
  set(IPPROTO_TCP, TCP_KEEPCNT, 2);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, limit.count() * 1'000);
}

int make_unix_socket() {
  int made = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  boost::system::error_code refused(made < 0 ? errno : 0, boost::system::system_category());
  throw_if_failed(refused, "make a Unix socket");
  return made;
}

}  // namespace penstock::net
