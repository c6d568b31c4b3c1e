#pragma once

// Requests whose failures are values: each gives an outcome, no failure touches another request, and none goes
// unseen. For many URLs at once, or wherever one dead server must not end the work.
//
//   std::vector<http::safe_response> pages = co_await http::process_requests(urls, {.max_concurrency = 10});
//   for (const http::safe_response& page : pages)
//     if (page) use(page->body);
//   http::request_summary sum = http::summarize(pages);

#include "penstock/core/outcome.h"
#include "penstock/http/client.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace penstock::http {

/// An answer with a status below 400, or what went wrong.
using safe_response = outcome<client_response>;

/// Sends a request and gives its outcome. A status of 400 or above is a failure too: `status_error`, which has the
/// answer. Throws only `operation_cancelled`, when the calling task is cancelled or its deadline passes.
///
/// Each failure is logged at level error with its traceback, and counted: `penstock_safe_requests_total` by `outcome`,
/// and what `traced("safe_request", …)` counts. The client outlives the call.
task<safe_response> safe_request(client& through, client_request request);
/// A GET.
task<safe_response> safe_request(client& through, std::string url);
/// As above, through a client of its own with these options: the connection is not kept. For single requests.
task<safe_response> safe_request(client_request request, const client_options& options);
task<safe_response> safe_request(client_request request);
/// A GET, through a client of its own.
task<safe_response> safe_request(std::string url, const client_options& options);
task<safe_response> safe_request(std::string url);

/// How `process_requests` goes about it.
struct process_options {
  std::size_t max_concurrency = 10;  ///< Requests under way at once; at least 1.
};

/// GETs every URL as `safe_request` does, so many at a time, and gives the outcomes in the order of the URLs. Logs the
/// sums at the end. All answers are held: bound them by `client_options::max_response_bytes`. When the calling task is
/// cancelled, so are the requests.
task<std::vector<safe_response>> process_requests(client& through, std::vector<std::string> urls,
                                                  const process_options& options = {});
/// As above, through a client of its own; `through` says how it behaves, and its connections are at least as many as
/// the concurrency asks for.
task<std::vector<safe_response>> process_requests(std::vector<std::string> urls, const process_options& options,
                                                  const client_options& through);
task<std::vector<safe_response>> process_requests(std::vector<std::string> urls, const process_options& options = {});

/// What became of a number of requests.
struct request_summary {
  std::size_t succeeded = 0;
  std::size_t failed = 0;
  std::uint64_t body_bytes = 0;  ///< Of the answers that succeeded.
};

/// Counts outcomes.
request_summary summarize(std::span<const safe_response> responses) noexcept;

}  // namespace penstock::http
