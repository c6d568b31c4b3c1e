#include "penstock/net/held_end.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

// Where the socket is closed by then, and another has its number, that one's end goes out early: no harm.

namespace penstock::net {
namespace {

bool cork(int socket, int on) noexcept { return setsockopt(socket, IPPROTO_TCP, TCP_CORK, &on, sizeof on) == 0; }

}  // namespace

held_end::held_end(int socket) noexcept : socket_(socket), holds_(cork(socket, 1)) {}

held_end::~held_end() {
  if (holds_) cork(socket_, 0);
}

}  // namespace penstock::net
