#pragma once

#include "penstock/http/request.h"

#include <optional>
#include <string>

namespace penstock::ingest {

// The request's Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a structured field's string (RFC 9651,
// 3.3.3), or the bare text as most clients send it; nothing when there is none. Throws `http::problem_error` 400 naming
// the rule that it breaks.
std::optional<std::string> idempotency_key_of(const http::request& r);

}  // namespace penstock::ingest
