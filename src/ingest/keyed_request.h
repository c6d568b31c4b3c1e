#pragma once

// A request with an Idempotency-Key on its way into a batch: what the transaction that stores its items must know to
// keep its answer with them, or to find that it was answered before.

#include "keys_in_flight.h"
#include "penstock/db/connection.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace penstock::ingest {

// What a request was, and what was answered to it.
struct kept_answer {
  std::string request_hash;
  int status = 200;
  std::string body;
  bool is_kept = true;  // not where nothing was stored and the request may be corrected
};

// Shared by the request and the batch that its rows are in.
struct keyed_request {
  std::string key;
  std::string hash;
  // What there is to answer when the rows of the report from `first` on are the request's. Asked before the commit.
  std::function<kept_answer(const db::batch_report& report, std::size_t first, std::size_t most_result_bytes)> answer;
  // What it gave to the attempt that is committed, whether it is kept or not.
  kept_answer made = {};
  // Of the answer, which is kept in the database; 0 once that has refused a longer one.
  std::size_t most_result_bytes = std::size_t{1} << 20;
  // Set after the commit when the key was there already: nothing of this request was stored then.
  std::optional<kept_answer> found = {};
  // Lets those with the same key wait until this one has ended.
  keys_in_flight::hold hold = {};
};

}  // namespace penstock::ingest
