#include "server_fixture.h"
#include "table_drift.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

// Tables that do not fit any more what they were prepared for, while sessions go on storing rows in them.

namespace penstock::db {
namespace {

class postgres_fit : public server_test {
 protected:
  postgres_fit() : server_test("TESTED_POSTGRESQL") {}
};

struct misfit {
  std::vector<std::string> change;
  std::vector<std::string> change_back;
  const char* said;
};

const table_definition fitting{"fitting", "id", {{"k", column_type::text}}, {"k"}};

row_batch names(const std::string& start, std::int64_t count) {
  row_batch rows(1);
  for (std::int64_t i = 0; i < count; ++i) {
    rows.add_text(start + std::to_string(i));
    rows.commit_row();
  }
  return rows;
}

// What storing the rows complains of; nothing where all are in.
task<std::string> complaint_of(connection& c, row_batch rows) {
  batch_report report;
  try {
    task<void> storing = c.insert_batch(fitting, rows, report);
    co_await std::move(storing);
  } catch (const database_error& e) {
    EXPECT_EQ(e.errc(), db_errc::table_drift);
    co_return e.message();
  }
  for (const row_outcome& row : report.rows) EXPECT_EQ(row.what, row_outcome::status::stored);
  co_return "";
}

TEST_F(postgres_fit, is_looked_at_again_when_the_table_was_changed) {
  const misfit misfits[] = {
      {{"ALTER TABLE fitting SET UNLOGGED"}, {"ALTER TABLE fitting SET LOGGED"}, "UNLOGGED"},
      {{"ALTER TABLE fitting ALTER k TYPE text COLLATE same_in_either_case"},
       {"ALTER TABLE fitting ALTER k TYPE text COLLATE \"C\""},
       "different texts for the same"},
      {{"ALTER TABLE fitting DROP CONSTRAINT fitting_k_key",
        "CREATE UNIQUE INDEX fitting_either ON fitting (k COLLATE same_in_either_case)"},
       {"DROP INDEX fitting_either", "ALTER TABLE fitting ADD UNIQUE (k)"},
       "different texts for the same"},
      {{"ALTER TABLE fitting DROP CONSTRAINT fitting_k_key"}, {"ALTER TABLE fitting ADD UNIQUE (k)"}, "unique"},
  };
  with_connection([&](connection& c) -> task<> {
    database server(url());
    task<std::unique_ptr<connection>> connecting = server.connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await other->execute("DROP TABLE IF EXISTS fitting");
    co_await other->execute("DROP COLLATION IF EXISTS same_in_either_case");
    co_await other->execute(
        "CREATE COLLATION same_in_either_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
    co_await c.prepare_table(fitting);
    int step = 0;
    for (const misfit& way : misfits)
      for (std::int64_t count : {1, 40, 600}) {
        SCOPED_TRACE(way.change.back() + ", " + std::to_string(count));
        auto next = [&] { return names("row " + std::to_string(++step) + " ", count); };
        EXPECT_EQ(co_await complaint_of(c, next()), "");
        for (const std::string& sql : way.change) co_await other->execute(sql);
        for (int tries = 0; tries < 2; ++tries) {
          std::string said = co_await complaint_of(c, next());
          EXPECT_NE(said.find(way.said), std::string::npos) << said;
        }
        for (const std::string& sql : way.change_back) co_await other->execute(sql);
        EXPECT_EQ(co_await complaint_of(c, next()), "");
      }
    co_await other->execute("DROP TABLE fitting");
    co_await other->execute("DROP COLLATION same_in_either_case");
  });
}

TEST_F(postgres_fit, is_none_of_what_takes_no_rows_or_gives_no_ids) {
  const table_definition takes_none{"takes_none", "id", {{"n", column_type::integer}}, {}};
  struct kind {
    std::vector<std::string> make;
    const char* said;
    const char* drop;
  };
  const kind kinds[] = {
      {{"CREATE MATERIALIZED VIEW takes_none AS SELECT 1::bigint AS id, 2::bigint AS n"},
       "takes_none takes no rows",
       "DROP MATERIALIZED VIEW takes_none"},
      {{"CREATE EXTENSION file_fdw", "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw",
        "CREATE FOREIGN TABLE takes_none (id bigint DEFAULT 1, n bigint) SERVER files OPTIONS (filename '/none')"},
       "takes_none takes no rows",
       "DROP EXTENSION file_fdw CASCADE"},
      {{"CREATE EXTENSION postgres_fdw", "CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw",
        "CREATE FOREIGN TABLE takes_none (id bigint, n bigint) SERVER other"},
       "'id' does not generate ids",
       "DROP EXTENSION postgres_fdw CASCADE"},
  };
  with_connection([&](connection& c) -> task<> {
    for (const kind& k : kinds) {
      for (const std::string& sql : k.make) co_await c.execute(sql);
      std::string said = co_await drift_of(c, takes_none);
      EXPECT_NE(said.find(k.said), std::string::npos) << said;
      co_await c.execute(k.drop);
    }
  });
}

}  // namespace
}  // namespace penstock::db
