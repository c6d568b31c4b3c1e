// What a failure of accept(2) does to a listener; most of them can't be brought about at will.

#include "net/accept_failure.h"

#include <penstock/async/gather.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

// How the next call fails; 0 when it does not.
thread_local int next_failure = 0;

}  // namespace

// This stands in the place of the C library's, whoever calls.
extern "C" int accept(int socket, sockaddr* peer, socklen_t* size) {
  int failure = std::exchange(next_failure, 0);
  if (failure == 0) return ::accept4(socket, peer, size, 0);
  errno = failure;
  return -1;
}

namespace penstock::net {
namespace {

TEST(accept_failure, of_a_connection_that_is_gone_or_of_its_network_ends_no_listener) {
  for (int error : {ECONNABORTED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, EINTR, ENETDOWN, ENETUNREACH, ENONET,
                    ENOPROTOOPT, EOPNOTSUPP, EPROTO, ETIMEDOUT})
    EXPECT_EQ(after_failed_accept(error), after_accept::goes_on) << std::strerror(error);
}

TEST(accept_failure, that_lasts_is_waited_out) {
  for (int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM})
    EXPECT_EQ(after_failed_accept(error), after_accept::pauses) << std::strerror(error);
}

TEST(accept_failure, of_a_socket_that_does_not_listen_ends_it) {
  for (int error : {EBADF, ECANCELED, EFAULT, EINVAL, ENOTSOCK})
    EXPECT_EQ(after_failed_accept(error), after_accept::ends) << std::strerror(error);
}

TEST(accept_failure, while_nobody_waits_holds_up_neither_the_loop_nor_who_comes_next) {
  ::alarm(20);  // a loop that waits for a connection by itself has no time left for a timer
  for (int error : {ECONNABORTED, EPROTO, ETIMEDOUT, EPERM}) {
    auto body = [&]() -> task<> {
      auto at = listen(endpoint::parse("127.0.0.1:0"));
      next_failure = error;
      auto [accepted, connected] = co_await gather(at->accept(), connect(at->local_endpoint()));
      EXPECT_EQ(next_failure, 0) << "nothing failed";
      EXPECT_TRUE(accepted != nullptr && connected != nullptr) << std::strerror(error);
    };
    run(body());
  }
  ::alarm(0);
}

}  // namespace
}  // namespace penstock::net
