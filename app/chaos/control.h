#pragma once

// A chaos proxy under control of HTTP requests; docs/testing-with-faults.md has them all.

#include <penstock/http/router.h>
#include <penstock/testing/chaos_proxy.h>

namespace penstock::app::chaos {

/// Adds GET, PUT and DELETE /toxics, GET /connections, GET /counters, POST /cut and POST /reset. The proxy outlives the
/// router and whoever serves it.
void add_control_routes(http::router& routes, testing::chaos_proxy& proxy);

}  // namespace penstock::app::chaos
