// Invariant: what is not known to be a loopback address is taken to be reachable.

#include "app/serve/reachable.h"

#include <string_view>

namespace penstock::app {

bool only_from_this_machine(const net::endpoint& where) {
  if (where.type() == net::endpoint::kind::unix_socket) return true;
  std::string_view host = where.host();
  bool dotted = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return host == "::1" || host == "localhost" || (dotted && host.starts_with("127."));
}

}  // namespace penstock::app
