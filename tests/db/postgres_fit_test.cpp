#include "server_fixture.h"
#include "table_drift.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <algorithm>
#include <memory>
#include <optional>
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
      {{"CREATE OR REPLACE TRIGGER moving BEFORE INSERT ON fitting FOR EACH ROW EXECUTE FUNCTION leave_in_place()",
        "CREATE TABLE fitting_child () INHERITS (fitting)"},
       {"DROP TABLE fitting_child"},
       "may put rows into the tables that inherit from it"},
      {{"CREATE TABLE IF NOT EXISTS fitting_child () INHERITS (fitting)",
        "CREATE OR REPLACE TRIGGER moving BEFORE INSERT ON fitting FOR EACH ROW EXECUTE FUNCTION leave_in_place()",
        "ALTER TABLE fitting ENABLE TRIGGER moving"},
       {"ALTER TABLE fitting DISABLE TRIGGER moving"},
       "may put rows into the tables that inherit from it"},
  };
  with_connection([&](connection& c) -> task<> {
    database server(patient(url()));
    task<std::unique_ptr<connection>> connecting = server.connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await other->execute("DROP TABLE IF EXISTS fitting CASCADE");
    co_await other->execute("DROP COLLATION IF EXISTS same_in_either_case");
    co_await other->execute(
        "CREATE COLLATION same_in_either_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
    co_await other->execute(
        "CREATE OR REPLACE FUNCTION leave_in_place() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'");
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
    co_await other->execute("DROP TABLE fitting CASCADE");
    co_await other->execute("DROP FUNCTION leave_in_place");
    co_await other->execute("DROP COLLATION same_in_either_case");
  });
}

TEST_F(postgres_fit, is_none_of_what_can_not_hold_rows_once_and_for_good) {
  const table_definition elsewhere{"elsewhere", "id", {{"n", column_type::integer}}, {}};
  struct kind {
    std::vector<std::string> make;
    const char* said;
    const char* drop;
  };
  const std::string server = "CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw";
  const kind kinds[] = {
      {{"CREATE MATERIALIZED VIEW elsewhere AS SELECT 1::bigint AS id, 2::bigint AS n"},
       "elsewhere is a materialized view",
       "DROP MATERIALIZED VIEW elsewhere"},
      {{"CREATE EXTENSION postgres_fdw", server,
        "CREATE FOREIGN TABLE elsewhere (id bigint DEFAULT 1, n bigint) SERVER other"},
       "elsewhere is a foreign table",
       "DROP EXTENSION postgres_fdw CASCADE"},
      {{"CREATE EXTENSION postgres_fdw", server,
        "CREATE TABLE elsewhere (id bigint GENERATED BY DEFAULT AS IDENTITY, n bigint) PARTITION BY LIST (n)",
        "CREATE FOREIGN TABLE elsewhere_1 PARTITION OF elsewhere FOR VALUES IN (1) SERVER other"},
       "elsewhere_1 is a foreign table",
       "DROP TABLE elsewhere; DROP EXTENSION postgres_fdw CASCADE"},
  };
  with_connection([&](connection& c) -> task<> {
    for (const kind& k : kinds) {
      for (const std::string& sql : k.make) co_await c.execute(sql);
      std::string said = co_await drift_of(c, elsewhere);
      EXPECT_NE(said.find(k.said), std::string::npos) << said;
      std::string drop = k.drop;
      for (std::size_t at = 0; at < drop.size();) {
        std::size_t end = std::min(drop.find(';', at), drop.size());
        co_await c.execute(drop.substr(at, end - at));
        at = end + 1;
      }
    }
  });
}

// Each item would be rejected for what is the table's fault.
TEST_F(postgres_fit, is_none_where_no_policy_lets_the_account_store) {
  const table_definition guarded{"guarded", "id", {{"n", column_type::integer}}, {}};
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("DROP TABLE IF EXISTS guarded");
    co_await c.execute("DROP ROLE IF EXISTS kept_out");
    co_await c.execute("CREATE TABLE guarded (id bigint GENERATED BY DEFAULT AS IDENTITY, n bigint)");
    co_await c.execute("ALTER TABLE guarded ENABLE ROW LEVEL SECURITY");
    co_await c.execute("CREATE ROLE kept_out");
    co_await c.execute("GRANT ALL ON guarded TO kept_out");
    auto told_as_kept_out = [&]() -> task<std::string> {
      co_await c.execute("SET ROLE kept_out");
      task<std::string> looking = drift_of(c, guarded);
      std::string said = co_await std::move(looking);
      co_await c.execute("RESET ROLE");
      co_return said;
    };
    EXPECT_EQ(co_await drift_of(c, guarded), "");  // of whom it does not hold for
    std::string said = co_await told_as_kept_out();
    EXPECT_NE(said.find("row-level security"), std::string::npos) << said;
    co_await c.execute("CREATE POLICY in_only ON guarded FOR INSERT TO kept_out WITH CHECK (n < 10)");
    said = co_await told_as_kept_out();
    EXPECT_NE(said.find("row-level security"), std::string::npos) << said;
    co_await c.execute("CREATE POLICY out ON guarded FOR SELECT USING (true)");
    EXPECT_EQ(co_await told_as_kept_out(), "");

    co_await c.execute("SET ROLE kept_out");
    row_batch rows(1);
    for (int n : {1, 20, 2}) {
      rows.add_integer(n);
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(guarded, rows, report);
    EXPECT_EQ(report.rows.at(0).what, row_outcome::status::stored);
    EXPECT_EQ(report.rows.at(1).what, row_outcome::status::refused);
    co_await c.execute("RESET ROLE");
    co_await c.execute("DROP POLICY in_only ON guarded");
    co_await c.execute("SET ROLE kept_out");
    std::optional<db_errc> failed;
    try {
      task<void> storing = c.insert_batch(guarded, rows, report);
      co_await std::move(storing);
    } catch (const database_error& e) {
      failed = e.errc();
    }
    EXPECT_EQ(failed, db_errc::table_drift);
    co_await c.execute("RESET ROLE");
    co_await c.execute("DROP TABLE guarded");
    co_await c.execute("DROP ROLE kept_out");
  });
}

TEST_F(postgres_fit, is_one_of_texts_whose_type_lies_in_a_schema_that_is_not_searched) {
  const table_definition words{"words", "id", {{"word", column_type::text}}, {}};
  with_connection([&](connection& c) -> task<> {
    for (const char* sql :
         {"CREATE EXTENSION IF NOT EXISTS citext SCHEMA public", "DROP SCHEMA IF EXISTS of_words CASCADE",
          "CREATE SCHEMA of_words", "SET search_path = of_words",
          "CREATE TABLE words (id bigint GENERATED BY DEFAULT AS IDENTITY, word public.citext)"}) {
      task<std::uint64_t> running = c.execute(sql);
      co_await std::move(running);
    }
    EXPECT_EQ(co_await drift_of(c, words), "");
    for (int count : {1, 600}) {
      row_batch rows = names("Word", count);
      batch_report report;
      co_await c.insert_batch(words, rows, report);
      EXPECT_EQ(report.rows.back().what, row_outcome::status::stored);
    }
    co_await c.execute("DROP SCHEMA of_words CASCADE");
  });
}

}  // namespace
}  // namespace penstock::db
