#include "penstock/net/descriptor.h"

#include "event_loop_implementation.h"
#include "penstock/async/race.h"
#include "penstock/async/timeout.h"
#include "penstock/net/asio.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock::net {

using boost::asio::posix::descriptor_base;

namespace {

// What was sent again, or asked whether more is taken, has had no answer, and nothing came for `at_least`.
bool is_unanswered(int descriptor, duration at_least) noexcept {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  return (info.tcpi_retransmits > 0 || info.tcpi_probes > 0) &&
         std::chrono::milliseconds(info.tcpi_last_ack_recv) >= at_least;
}

}  // namespace

// Kept by each wait under way, which Asio may be asked to cancel when the watch is gone.
struct descriptor_watch::implementation {
  using shared = std::shared_ptr<implementation>;

  explicit implementation(event_loop& loop) : home(loop.native().sockets), duplicate(home->context.get_executor()) {}

  static task<readiness> wait_for(shared watched, descriptor_base::wait_type what, readiness then);
  static task<readiness> wait(const shared& watched, readiness wanted);
  static task<readiness> wait_while_answered(shared watched, readiness wanted, duration limit);
  void close() noexcept {
    boost::system::error_code ignored;  // close(2) frees the descriptor whatever it reports
    duplicate.close(ignored);
  }

  std::shared_ptr<loop_sockets> home;  // which the watch may outlive
  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> duplicate;
};

descriptor_watch::descriptor_watch(int descriptor)
    : implementation_(std::make_shared<implementation>(event_loop::current())) {
  int own = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  boost::system::error_code refused(own < 0 ? errno : 0, boost::system::system_category());
  throw_if_failed(refused, "duplicate a descriptor");
  implementation_->duplicate.assign(own, refused);
  if (refused) ::close(own);
  throw_if_failed(refused, "watch a descriptor");
}

descriptor_watch::descriptor_watch(descriptor_watch&&) noexcept = default;
descriptor_watch& descriptor_watch::operator=(descriptor_watch&& other) noexcept {
  descriptor_watch old(std::move(*this));
  implementation_ = std::move(other.implementation_);
  return *this;
}
descriptor_watch::~descriptor_watch() {
  if (implementation_) implementation_->close();
}

task<readiness> descriptor_watch::wait(readiness wanted) { return implementation::wait(implementation_, wanted); }

task<readiness> descriptor_watch::wait_while_answered(readiness wanted, duration limit) {
  return implementation::wait_while_answered(implementation_, wanted, limit);
}

task<readiness> descriptor_watch::implementation::wait_for(shared watched, descriptor_base::wait_type what,
                                                           readiness then) {
  auto waiting = watched->duplicate.async_wait(what, use_task);
  co_await waiting;
  co_return then;
}

task<readiness> descriptor_watch::implementation::wait(const shared& watched, readiness wanted) {
  watched->home->require_loop("the watch");
  task<readiness> to_read = wait_for(watched, descriptor_base::wait_read, readiness::readable);
  if (!includes(wanted, readiness::writable)) return to_read;
  task<readiness> to_write = wait_for(watched, descriptor_base::wait_write, readiness::writable);
  if (!includes(wanted, readiness::readable)) return to_write;
  return race(std::move(to_read), std::move(to_write));
}

task<readiness> descriptor_watch::implementation::wait_while_answered(shared watched, readiness wanted,
                                                                      duration limit) {
  // An answer to a question whether it takes more may be left out, by the bound on their number (tcp_invalid_ratelimit
  // in the kernel's ip-sysctl.rst). The next question comes within a second.
  constexpr duration shortest = std::chrono::seconds(2);
  limit = std::max(limit, shortest);
  std::optional<time_point> unanswered_since;
  for (;;) {
    try {
      task<readiness> waiting = with_timeout(limit / 4, wait(watched, wanted));
      co_return co_await std::move(waiting);
    } catch (const timed_out&) {  // time to look
    }
    time_point now = scheduler::current().now();
    if (!is_unanswered(watched->duplicate.native_handle(), now - unanswered_since.value_or(now)))
      unanswered_since.reset();
    else if (!unanswered_since)
      unanswered_since = now;
    else if (now - *unanswered_since >= limit * 3 / 4)
      co_return readiness::none;
  }
}

// Probes (tcp(7): TCP_KEEPIDLE and its like) notice a peer that is gone while nothing is sent. TCP_USER_TIMEOUT would
// notice one that does not acknowledge what is, but also ends connections whose peer is there, and takes nothing for
// the moment: a database whose statement waits for a lock while more of its rows are to come.
bool limit_silence(int descriptor, std::chrono::seconds limit) noexcept {
  auto set = [&](int level, int option, long long value) {
    int number = static_cast<int>(value);
    return ::setsockopt(descriptor, level, option, &number, sizeof(number)) == 0;
  };
  long long third = std::max<long long>(limit.count() / 3, 1);
  if (!set(IPPROTO_TCP, TCP_KEEPIDLE, third)) return false;
  set(IPPROTO_TCP, TCP_KEEPINTVL, third);
  set(IPPROTO_TCP, TCP_KEEPCNT, 2);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
  return set(SOL_SOCKET, SO_KEEPALIVE, 1);
}

int make_unix_socket() {
  int made = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  boost::system::error_code refused(made < 0 ? errno : 0, boost::system::system_category());
  throw_if_failed(refused, "make a Unix socket");
  return made;
}

}  // namespace penstock::net
