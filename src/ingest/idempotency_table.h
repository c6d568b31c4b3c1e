#pragma once

// Table penstock_idempotency: what was answered to requests with an Idempotency-Key, for as long as it is kept. It is
// written in the transaction that stores the request's items.

#include "keyed_request.h"
#include "penstock/db/connection.h"
#include "penstock/ingest/batch.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace penstock::ingest {

const db::table_definition& idempotency_table();

// For each of the groups, the answer that its key has in this stream; without its body, which may be long, where the
// key came with another request.
task<std::vector<std::optional<kept_answer>>> find_kept_answers(db::connection& session, const std::string& stream,
                                                                const std::vector<batch_group>& groups);

// A row for `idempotency_table`.
void add_kept_answer(db::row_batch& to, const std::string& stream, const std::string& key, const kept_answer& answer);

// Deletes those that are older than `retention` of some answers: the next ones behind the id `after`, 0 at first, which
// it moves on. True when there may be more behind them; else `after` is 0 again.
task<bool> forget_some_answers(db::connection& session, duration retention, std::int64_t& after);

}  // namespace penstock::ingest
