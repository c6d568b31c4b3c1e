// Batching: a thousand tasks store one row each, and the coalescer makes a handful of transactions of them. Each task
// goes on only when its own row is committed.

#include <penstock/async/map_bounded.h>
#include <penstock/async/task_group.h>
#include <penstock/db/connection.h>
#include <penstock/ingest/coalescer.h>
#include <penstock/net/event_loop.h>

#include <iostream>
#include <ranges>
#include <string>

using namespace penstock;

// [batching]
task<std::int64_t> store_one(ingest::coalescer& shared, int n) {
  ingest::submission mine(shared);
  db::row_batch& rows = mine.rows();
  rows.add_text("reading " + std::to_string(n));
  rows.commit_row();
  mine.row_added();
  co_await mine.committed();
  std::int64_t id = 0;
  mine.collect([&](const db::row_outcome& row, const db::row_refusal*, const std::exception_ptr*) { id = row.id; });
  co_return id;
}

task<int> store_many() {
  db::table_definition table;
  table.name = "readings";
  table.columns.push_back({.name = "text"});
  std::unique_ptr<db::connection> database = co_await db::database("sqlite::memory:").connect();
  co_await database->prepare_table(table);

  ingest::coalescer shared(
      1, [&](ingest::batch& b) -> task<void> { return database->insert_batch(table, b.rows, b.report); });
  std::size_t stored = 0;
  co_await with_task_group([&](task_group& group) -> task<void> {
    group.start(shared.run(), "commits");
    auto all = map_bounded(std::views::iota(0, 1000), 250, [&](int n) { return store_one(shared, n); });
    stored = (co_await std::move(all)).size();
    shared.stop();
  });
  std::cout << stored << " rows in " << shared.stats().batches << " transactions\n";
  co_return shared.stats().rows == 1000 && shared.stats().batches < 100 ? 0 : 1;
}
// [batching]

int main() { return net::run(store_many()); }
