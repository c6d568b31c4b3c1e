#pragma once

#include <penstock/net/endpoint.h>

namespace penstock::app {

/// True when what listens there is reached from this machine only: a loopback address (RFC 1122, 3.2.1.3; RFC 4291,
/// 2.5.3) or a Unix socket. `where` names an address, as listeners give it, or "localhost".
bool only_from_this_machine(const net::endpoint& where);

}  // namespace penstock::app
