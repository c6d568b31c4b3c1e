#pragma once

#include "penstock/async/task.h"
#include "penstock/net/endpoint.h"

#include <string>
#include <vector>

#include <boost/asio/generic/stream_protocol.hpp>

namespace penstock::net {

using socket_address = boost::asio::generic::stream_protocol::endpoint;

// The addresses of an endpoint, in the resolver's order; blocks for a host name. Throws `net_errc::resolve_failed`.
std::vector<socket_address> resolve_blocking(const endpoint& where, bool to_listen);

// As `resolve_blocking`, on a worker thread when it may block. Cancellable: a lookup under way is left to itself.
task<std::vector<socket_address>> resolve(const endpoint& where);

// For logs and for `local_endpoint`.
endpoint describe_address(const socket_address& address);

}  // namespace penstock::net
