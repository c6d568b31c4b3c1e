#include "server_metrics.h"

#include <algorithm>

namespace penstock::http {

server_metrics::server_metrics(metrics::registry& into, const router& routes, const server_counts& counts)
    : registry_(into),
      counts_(counts),
      request_bytes_(into.counter("penstock_http_request_bytes_total", "Bytes received from HTTP clients.")),
      response_bytes_(into.counter("penstock_http_response_bytes_total", "Bytes sent to HTTP clients.")),
      connections_(into.counter("penstock_http_connections_total", "HTTP connections accepted.")),
      open_connections_(into.gauge("penstock_http_open_connections", "HTTP connections that are open.")),
      in_flight_(into.gauge("penstock_http_requests_in_flight", "HTTP requests that are being answered.")) {
  for (std::size_t number = 0; number <= routes.size(); ++number) {
    per_route& of = routes_.emplace_back();
    of.pattern = number < routes.size() ? routes.pattern(number) : "unmatched";
    of.durations = into.histogram("penstock_http_request_duration_seconds", "From a request's head to its answer.",
                                  metrics::duration_buckets(), {{"route", of.pattern}});
  }
  hook_ = into.add_hook([this] { show_gauges(); });
}

server_metrics::~server_metrics() { registry_.remove_hook(hook_); }

void server_metrics::answered(std::size_t route, std::string_view method, int status, duration elapsed) {
  auto named = std::find(methods.begin(), methods.end() - 1, method);
  auto status_class = static_cast<std::size_t>(status / 100 - 1);
  std::size_t place = static_cast<std::size_t>(named - methods.begin()) * classes + status_class;
  per_route& of = routes_[route];
  if (!of.known[place]) {
    of.requests[place] = registry_.counter(
        "penstock_http_requests_total", "HTTP requests that were answered.",
        {{"method", std::string(*named)}, {"route", of.pattern}, {"status", std::to_string(status_class + 1) + "xx"}});
    of.known[place] = true;
  }
  of.requests[place].add();
  of.durations.observe(elapsed);
}

// Called under the registry's lock.
void server_metrics::show_gauges() noexcept {
  server_stats now = counts_.read();
  open_connections_.show(now.open_connections);
  in_flight_.show(now.requests_in_flight);
}

}  // namespace penstock::http
