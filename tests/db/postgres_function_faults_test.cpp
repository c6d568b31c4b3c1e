#include "postgres_rows.h"
#include "server_fixture.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <algorithm>
#include <optional>
#include <string>

#include <gtest/gtest.h>

// Batches in tables whose functions fail for what they lack.

namespace penstock::db {
namespace {

class postgres_function_faults : public server_test {
 protected:
  postgres_function_faults() : server_test("TESTED_POSTGRESQL") {}
};

// It was told as a fault of each row. COPY does not say which row an AFTER trigger has failed for.
TEST_F(postgres_function_faults, what_a_function_lacks_for_all_rows_is_no_fault_of_theirs) {
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k bigint UNIQUE)");
    for (std::int64_t count : {8, 600})
      for (std::int64_t from : {std::int64_t{0}, count - 1})
        for (const char* when : {"BEFORE INSERT ON t", "AFTER INSERT ON t"}) {
          SCOPED_TRACE(std::string(when) + ", from " + std::to_string(from) + " of " + std::to_string(count));
          co_await c.execute("DELETE FROM t");
          co_await c.execute(trigger_function("IF NEW.k >= " + std::to_string(from) +
                                              " THEN INSERT INTO pg_temp.audit VALUES (NEW.k); END IF;"));
          co_await c.execute("CREATE TRIGGER judged " + std::string(when) +
                             " FOR EACH ROW EXECUTE FUNCTION pg_temp.judge()");
          row_batch rows = numbers(0, count);
          batch_report report;
          task<std::optional<db_errc>> inserting = batch_failure(c, table, rows, report);
          std::optional<db_errc> failed = co_await std::move(inserting);
          if (from == 0) {
            EXPECT_EQ(failed, db_errc::syntax);
          } else {
            EXPECT_FALSE(failed);
            auto is_stored = [](const row_outcome& row) { return row.what == status::stored; };
            EXPECT_EQ(std::count_if(report.rows.begin(), report.rows.end(), is_stored), count - 1);
            EXPECT_EQ(report.rows.at(static_cast<std::size_t>(from)).what, status::refused);
          }
          co_await c.execute("DROP TRIGGER judged ON t");
          co_await c.execute("DROP FUNCTION pg_temp.judge");
        }
  });
}

// As a file that its machine no longer gives: the same row goes well elsewhere, or later.
TEST_F(postgres_function_faults, what_the_servers_machine_lacks_is_no_fault_of_a_row) {
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k bigint UNIQUE)");
    co_await c.execute(trigger_function("IF NEW.k = 3 THEN LOAD '$libdir/plugins/penstock_has_none'; END IF;"));
    co_await c.execute(judging("t"));
    for (std::int64_t count : {8, 600}) {
      row_batch rows = numbers(0, count);
      batch_report report;
      task<std::optional<db_errc>> inserting = batch_failure(c, table, rows, report);
      std::optional<db_errc> failed = co_await std::move(inserting);
      EXPECT_EQ(failed, db_errc::other) << count;
      EXPECT_EQ(c.state(), session_state::clean) << count;
    }
  });
}

}  // namespace
}  // namespace penstock::db
