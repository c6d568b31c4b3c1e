#pragma once

#include "penstock/async/task.h"
#include "penstock/net/endpoint.h"

#include <string>
#include <vector>

#include <boost/asio/generic/stream_protocol.hpp>

namespace penstock::net {

using socket_address = boost::asio::generic::stream_protocol::endpoint;

// What the resolver says of an endpoint: its addresses, in the resolver's order, or why there are none.
struct resolution {
  std::vector<socket_address> found;
  std::string failure;  // empty when there is none
};

// Blocks for a host name.
resolution look_up(const endpoint& where, bool to_listen);

// Throws `net_errc::resolve_failed` where there are none.
const std::vector<socket_address>& addresses_of(const resolution& r);

// The addresses of an endpoint; blocks for a host name. Throws `net_errc::resolve_failed`.
std::vector<socket_address> resolve_blocking(const endpoint& where, bool to_listen);

// As `resolve_blocking`, on a thread of the loop's lookups when it may block. Cancellable: a lookup under way is left
// to itself, and one that has not started never does.
task<std::vector<socket_address>> resolve(const endpoint& where);

// For logs and for `local_endpoint`.
endpoint describe_address(const socket_address& address);

}  // namespace penstock::net
