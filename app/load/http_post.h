#pragma once

// Sends batches to a stream over HTTP.

#include "app/load/batch.h"
#include "app/load/delivery.h"
#include <penstock/async/task.h>
#include <penstock/http/client.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::app::load {

/// Where to send to.
struct post_options {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// Sends a batch, as NDJSON and with its key as Idempotency-Key, once or, when a kept connection turns out closed, once
/// more. `client` and `b` outlive the task. A request that can't be sent at all, for its URL
/// or a header field, throws `http::client_error`; every other failure is an attempt that did not succeed.
task<attempt> post_batch(http::client& client, const post_options& to, const batch& b, const std::string& key);

/// Reads a Retry-After field: seconds, or an HTTP date (RFC 9110, 10.2.3). Nothing when it is neither; zero for a past
/// date.
std::optional<duration> parse_retry_after(std::string_view field, system_time now);

}  // namespace penstock::app::load
