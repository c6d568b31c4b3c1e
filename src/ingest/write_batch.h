#pragma once

#include "commit_outcome.h"
#include "penstock/db/connection.h"
#include "penstock/ingest/batch.h"

#include <string>

namespace penstock::ingest {

// Writes a batch inside the transaction that is open: its rows, save those of requests that were answered before, and
// the answers of those that carry a key. When it throws, the transaction is to be rolled back; a transient error also
// stands for a key that another server has just used.
task<void> write_batch(db::connection& session, const db::table_definition& into, const std::string& stream,
                       const batch& b, commit_outcome& outcome);

}  // namespace penstock::ingest
