// What a failure of accept(2) does to a listener; most of them can't be brought about at will.

#include "net/accept_failure.h"

#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>

namespace penstock::net {
namespace {

TEST(accept_failure, of_a_connection_that_is_gone_or_of_its_network_ends_no_listener) {
  for (int error : {ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, EINTR, ENETDOWN, ENETUNREACH, ENONET, ENOPROTOOPT,
                    EOPNOTSUPP, EPROTO, ETIMEDOUT})
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

}  // namespace
}  // namespace penstock::net
