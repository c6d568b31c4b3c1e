// How many rows a second a database takes in batches of several sizes:
//
//   tools/test-server run sh -c 'build/release/bin/insert_bench "$TESTED_POSTGRESQL"'
//
// Rows are of 90 bytes or so: a text, a whole number, a real number, a timestamp, and a JSON of 50 characters. The
// table is made anew, and dropped at the end.

#include <penstock/async/task.h>
#include <penstock/db/connection.h>
#include <penstock/net/event_loop.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace {

using namespace penstock;
using clock_type = std::chrono::steady_clock;

constexpr auto time_for_each = std::chrono::seconds(2);

void fill(db::row_batch& rows, std::size_t count) {
  rows.clear();
  for (std::size_t i = 0; i < count; ++i) {
    rows.add_text("customer " + std::to_string(i));
    rows.add_integer(static_cast<std::int64_t>(i) * 7919);
    rows.add_real(static_cast<double>(i) / 7);
    rows.add_timestamp(db::timestamp(std::chrono::microseconds(1'767'225'600'000'000 + static_cast<std::int64_t>(i))));
    rows.add_text(R"({"kind":"order","total":12.50,"paid":true,"n":1234})");
    rows.commit_row();
  }
}

task<void> measure(db::connection& c, const db::table_definition& table, std::size_t batch) {
  db::row_batch rows(table.columns.size());
  db::batch_report report;
  fill(rows, batch);
  task<void> warming = c.insert_batch(table, rows, report);
  co_await std::move(warming);
  std::size_t stored = 0;
  clock_type::time_point start = clock_type::now();
  while (clock_type::now() - start < time_for_each) {
    task<void> inserting = c.insert_batch(table, rows, report);
    co_await std::move(inserting);
    stored += rows.rows();
  }
  double seconds = std::chrono::duration<double>(clock_type::now() - start).count();
  std::printf("%8zu rows a batch: %10.0f rows/s, by %.*s, %zu round trips\n", batch,
              static_cast<double>(stored) / seconds, static_cast<int>(report.method.size()), report.method.data(),
              report.round_trips);
  std::fflush(stdout);
}

task<void> run(std::string url) {
  db::database where(url);
  task<std::unique_ptr<db::connection>> connecting = where.connect();
  std::unique_ptr<db::connection> c = co_await std::move(connecting);
  db::table_definition table{"penstock_insert_bench",
                             "id",
                             {{"name", db::column_type::text, true},
                              {"size", db::column_type::integer, false},
                              {"share", db::column_type::real, false},
                              {"at", db::column_type::timestamp, false},
                              {"data", db::column_type::json, false}},
                             {}};
  std::string drop = "DROP TABLE IF EXISTS " + db::quote_identifier(table.name);
  task<std::uint64_t> dropping = c->execute(drop);
  co_await std::move(dropping);
  task<void> preparing = c->prepare_table(table);
  co_await std::move(preparing);
  for (std::size_t batch : {1u, 10u, 100u, 1'000u, 10'000u}) {
    task<void> measuring = measure(*c, table, batch);
    co_await std::move(measuring);
  }
  task<std::uint64_t> cleaning = c->execute(drop);
  co_await std::move(cleaning);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: insert_bench URL\n");
    return 2;
  }
  net::run(run(argv[1]));
}
