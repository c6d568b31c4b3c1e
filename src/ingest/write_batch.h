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

// Where nothing was stored, and a row was refused that lacks a value, the table may have got a column that must have
// one and that no row fills: throws `db_errc::table_drift` where it does not fit any more.
task<void> require_fitting_table(db::connection& session, const db::table_definition& into,
                                 const db::batch_report& report);

}  // namespace penstock::ingest
