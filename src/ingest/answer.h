#pragma once

// What a client is told of the items it sent.

#include "item_ledger.h"
#include "penstock/async/scheduler.h"
#include "penstock/core/error.h"
#include "penstock/http/response.h"
#include "penstock/ingest/item_splitter.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>

namespace penstock::ingest {

// How a body ended.
struct body_end {
  std::optional<body_error> malformed = {};  // Why its items can't be told apart any more.
  std::optional<error> given_up = {};        // Why no more of it is read: its content coding, its length, no room.
  std::exception_ptr broken = {};            // Why it could not be read to its end.
  bool is_collection = true;                 // False for a single item: its rejection is the request's.
  bool repeatable = false;                   // The request carries an Idempotency-Key.
};

// 200 with counts and results; 422 where a single item was rejected, 400 where the body is malformed, 413 where it is
// too long, 503 where items failed with their batch or there was no room to read on, all four as a problem with the
// same members. Results beyond `most_result_bytes` are left out, and the answer says so.
http::response answer_of(const item_ledger& taken, const body_end& end, const std::string& request_id,
                         duration retry_after, std::size_t most_result_bytes = SIZE_MAX);

// A duration as Retry-After wants it: whole seconds, at least one (RFC 9110, 10.2.3).
std::string retry_after_field(duration wait);

}  // namespace penstock::ingest
