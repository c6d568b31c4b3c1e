#include "accept_failure.h"

#include <cerrno>

namespace penstock::net {

after_accept after_failed_accept(int error_number) noexcept {
  switch (error_number) {
    // What accept(2) hands on of a connection that ended, or failed, before it was accepted.
    case ECONNABORTED:
    case ECONNRESET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EINTR:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPROTO:
    case ETIMEDOUT:
      return after_accept::goes_on;
    // Out of descriptors or memory, or kept from accepting by rules that others may change.
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EPERM:
      return after_accept::pauses;
    default:
      return after_accept::ends;
  }
}

}  // namespace penstock::net
