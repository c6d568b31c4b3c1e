#include "address.h"
#include "event_loop_implementation.h"
#include "lookup_pool.h"
#include "penstock/net/resolver.h"

#include <utility>

#include <arpa/inet.h>

namespace penstock::net {
namespace {

bool may_block(const endpoint& where) {
  if (where.type() == endpoint::kind::unix_socket) return false;
  in6_addr address;
  return ::inet_pton(AF_INET, where.host().c_str(), &address) != 1 &&
         ::inet_pton(AF_INET6, where.host().c_str(), &address) != 1;
}

}  // namespace

task<std::vector<socket_address>> resolve(const endpoint& where) {
  auto* loop = dynamic_cast<event_loop*>(&scheduler::current());
  // Other schedulers have no threads: what may block there, blocks.
  if (loop == nullptr || !may_block(where)) co_return resolve_blocking(where, false);
  lookup_wait waiting(loop->native().lookups, where);
  co_return co_await waiting;
}

task<std::vector<std::string>> resolve_host(std::string host) {
  endpoint where = endpoint::tcp(std::move(host), 0);
  std::vector<socket_address> found = co_await resolve(where);
  std::vector<std::string> addresses;
  addresses.reserve(found.size());
  for (const socket_address& address : found) addresses.push_back(describe_address(address).host());
  co_return addresses;
}

}  // namespace penstock::net
