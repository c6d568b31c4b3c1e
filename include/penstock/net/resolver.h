#pragma once

// Names to addresses, for those who connect by other means than `net::connect`.
//
//   std::vector<std::string> addresses = co_await net::resolve_host("localhost");   // {"127.0.0.1", "::1"}

#include "penstock/async/task.h"

#include <string>
#include <vector>

namespace penstock::net {

/// The numeric addresses of a host name, in the resolver's order (getaddrinfo(3)), looked up on a thread of its own:
/// `on_worker` never waits for lookups. Those who ask for a name that is being looked up share one lookup. Cancellable:
/// a lookup under way is left to itself, also when the loop ends. Throws `error` with `net_errc::resolve_failed`.
task<std::vector<std::string>> resolve_host(std::string host);

}  // namespace penstock::net
