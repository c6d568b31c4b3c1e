#include "penstock/db/connection.h"

#include "penstock/async/cancel.h"
#include "penstock/db/transaction.h"

namespace penstock::db {

task<void> connection::insert_batch(const table_definition& into, const row_batch& rows, batch_report& report) {
  auto body = [&](connection& c) { return c.insert_rows(into, rows, report); };
  task<void> whole = shield(detail::attempt<void>(this, &body));
  co_await std::move(whole);
}

task<std::vector<finding>> connection::examine(const expected_load&) { co_return std::vector<finding>{}; }

}  // namespace penstock::db
