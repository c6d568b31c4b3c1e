#include "penstock/db/connection.h"

#include "penstock/async/cancel.h"
#include "penstock/db/transaction.h"

namespace penstock::db {

task<void> connection::insert_batch(const table_definition& into, const row_batch& rows, batch_report& report) {
  auto body = [&](connection& c) { return c.insert_rows(into, rows, report); };
  task<void> whole = shield(detail::attempt<void>(this, &body));
  co_await std::move(whole);
}

task<void> connection::begin_batch(opening_statement& first, const table_definition& into, const row_batch& rows,
                                   batch_report& report) {
  report.clear();
  task<void> beginning = begin_for_batches();
  co_await std::move(beginning);
  task<std::uint64_t> running = execute(first.sql, first.values);
  first.changed = co_await std::move(running);
  if (first.changed == 0) co_return;
  task<void> inserting = insert_rows(into, rows, report);
  co_await std::move(inserting);
  report.round_trips += 2;
}

task<void> connection::prepare_inserts(const table_definition&) { co_return; }

task<void> connection::begin_for_batches() { return begin(); }

task<void> connection::limit_lock_waits(duration) { co_return; }

task<std::vector<finding>> connection::examine(const expected_load&) { co_return std::vector<finding>{}; }

}  // namespace penstock::db
