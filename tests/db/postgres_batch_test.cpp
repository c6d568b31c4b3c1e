#include "server_fixture.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <algorithm>
#include <optional>

#include <gtest/gtest.h>

// Batches in tables that are not as Penstock makes them, or are changed meanwhile.

namespace penstock::db {
namespace {

class postgres_batch : public server_test {
 protected:
  postgres_batch() : server_test("TESTED_POSTGRESQL") {}
};

// Gives what it failed with; empty when the batch is stored.
task<std::string> insert(connection& c, const table_definition& into, const row_batch& rows, batch_report& report) {
  try {
    task<void> inserting = c.insert_batch(into, rows, report);
    co_await std::move(inserting);
  } catch (const database_error& e) {
    co_return e.message();
  }
  co_return std::string();
}

// The row at place 30 is -1, the others are 1.
row_batch rows_with_a_bad_one(std::size_t count) {
  row_batch rows(1);
  for (std::size_t i = 0; i < count; ++i) {
    rows.add_integer(i == 30 ? -1 : 1);
    rows.commit_row();
  }
  return rows;
}

task<batch_report> insert_many(connection& c, const table_definition& into, double v, int count = 600) {
  row_batch rows(1);
  for (int i = 0; i < count; ++i) {
    rows.add_real(v);
    rows.commit_row();
  }
  batch_report report;
  task<std::string> inserting = insert(c, into, rows, report);
  std::string failed = co_await std::move(inserting);
  EXPECT_EQ(failed, "");
  co_return report;
}

TEST_F(postgres_batch, a_table_altered_by_another_session_gets_no_value_that_was_not_sent) {
  with_connection([this](connection& c) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(url()).connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    table_definition table{"altered", "id", {{"v", column_type::real}}, {}};
    for (int count : {600, 40, 1}) {
      co_await other->execute("DROP TABLE IF EXISTS altered");
      // Not by `prepare_table`, which would have it looked at again.
      co_await other->execute("CREATE TABLE altered (id bigserial PRIMARY KEY, v double precision)");
      batch_report stored = co_await insert_many(c, table, 1, count);
      EXPECT_EQ(stored.method == "copy", count == 600);
      co_await other->execute("ALTER TABLE altered ALTER v TYPE bigint");  // of the same size
      batch_report half = co_await insert_many(c, table, 2.5, count);
      batch_report whole = co_await insert_many(c, table, 2, count);
      EXPECT_TRUE(whole.refusals.empty());
      EXPECT_EQ(half.refusals.size(), static_cast<std::size_t>(count));
      result found = co_await c.query("SELECT v, count(*) FROM altered GROUP BY v ORDER BY v");
      EXPECT_EQ(found.rows.size(), 2u);
      EXPECT_EQ(std::get<std::int64_t>(found.rows.at(0).at(0)), 1);
      EXPECT_EQ(std::get<std::int64_t>(found.rows.at(1).at(0)), 2);
    }
    co_await other->execute("DROP TABLE altered");
  });
}

// What is stored has the ids of the table that is there, and batches of a statement that does not fit it any more are
// stored all the same.
TEST_F(postgres_batch, a_table_that_takes_the_place_of_another_gets_ids_of_its_own) {
  with_connection([](connection& c) -> task<> {
    for (int count : {600, 40, 1}) {
      co_await c.execute("DROP TABLE IF EXISTS rotated, rotated_old");
      table_definition table{"rotated", "id", {{"v", column_type::real}}, {}};
      task<void> preparing = c.prepare_table(table);
      co_await std::move(preparing);
      for (int round = 0; round < 3; ++round) co_await insert_many(c, table, 1, count);
      co_await c.execute("ALTER TABLE rotated RENAME TO rotated_old");
      co_await c.execute("CREATE TABLE rotated (LIKE rotated_old INCLUDING ALL)");
      batch_report first = co_await insert_many(c, table, 2, count);
      EXPECT_LE(first.rows.at(0).id, 2 * count);  // the attempt before may have taken some
      co_await c.execute("TRUNCATE rotated");
      batch_report second = co_await insert_many(c, table, 3, count);
      EXPECT_GE(second.rows.at(0).id, first.rows.at(0).id + count);
      co_await c.execute("ALTER TABLE rotated DROP v, ADD v double precision");
      co_await insert_many(c, table, 4, count);
      result found = co_await c.query("SELECT count(*), count(v) FROM rotated");
      EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{2} * count));
      EXPECT_EQ(found.rows.at(0).at(1), value(std::int64_t{count}));
      co_await c.execute("DROP TABLE rotated, rotated_old");
    }
  });
}

struct refusing {
  const char* name;
  std::vector<std::string> made;  // the table `t (id, v)`, which refuses a `v` below zero, and what it needs
};

std::string trigger_that(const std::string& does) {
  return "CREATE FUNCTION pg_temp.judge() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE x integer; BEGIN IF NEW.v < 0 "
         "THEN " +
         does + "; END IF; RETURN NEW; END $$";
}

TEST_F(postgres_batch, one_row_is_refused_alone_whatever_refuses_it) {
  const std::string table =
      "CREATE TEMPORARY TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v bigint)";
  const std::string judged = "CREATE TRIGGER judged BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.judge()";
  const refusing ways[] = {
      {"a check", {table, "ALTER TABLE t ADD CHECK (v >= 0)"}},
      {"RAISE", {table, trigger_that("RAISE 'no'"), judged}},
      {"RAISE with an SQLSTATE of its own", {table, trigger_that("RAISE 'no' USING ERRCODE = 'AB123'"), judged}},
      {"ASSERT", {table, trigger_that("ASSERT false"), judged}},
      {"no row", {table, trigger_that("SELECT 1 INTO STRICT x WHERE false"), judged}},
      {"RAISE of a missing right", {table, trigger_that("RAISE insufficient_privilege"), judged}},
      {"RAISE of what is not supported", {table, trigger_that("RAISE feature_not_supported"), judged}},
      {"RAISE of a missing object", {table, trigger_that("RAISE undefined_object"), judged}},
      {"RAISE of a full disk", {table, trigger_that("RAISE disk_full"), judged}},
      {"CASE without a match", {table, trigger_that("CASE NEW.v WHEN 1 THEN x := 1; END CASE"), judged}},
      {"a missing table", {table, trigger_that("EXECUTE 'TABLE missing' INTO x"), judged}},
      {"a function that ends without RETURN",
       {table,
        "CREATE FUNCTION pg_temp.judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v >= 0 THEN RETURN NEW; "
        "END IF; END $$",
        judged}},
      {"a function of a check",
       {table,
        "CREATE FUNCTION pg_temp.fits(v bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN CASE v WHEN 1 THEN RETURN "
        "true; END CASE; END $$",
        "ALTER TABLE t ADD CHECK (pg_temp.fits(v))"}},
      {"no partition",
       {"CREATE TEMPORARY TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY, v bigint) PARTITION BY RANGE (v)",
        "CREATE TEMPORARY TABLE part PARTITION OF t FOR VALUES FROM (0) TO (MAXVALUE)"}},
      {"row-level security",
       {table, "ALTER TABLE t ENABLE ROW LEVEL SECURITY", "ALTER TABLE t FORCE ROW LEVEL SECURITY",
        "CREATE POLICY p ON t USING (true) WITH CHECK (v >= 0)", "GRANT SELECT, INSERT ON t TO penstock_judged",
        "SET ROLE penstock_judged"}},
  };
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("DROP ROLE IF EXISTS penstock_judged");
    co_await c.execute("CREATE ROLE penstock_judged");
    for (const refusing& way : ways)
      for (std::size_t count : {40, 2'000}) {
        for (const std::string& sql : way.made) co_await c.execute(sql);
        const row_batch rows = rows_with_a_bad_one(count);
        const table_definition into{"t", "id", {{"v", column_type::integer}}, {}};
        batch_report report;
        task<std::string> inserting = insert(c, into, rows, report);
        std::string failed = co_await std::move(inserting);
        EXPECT_EQ(failed, "") << way.name << ", " << count;
        EXPECT_EQ(report.refusals.size(), 1u) << way.name << ", " << count;
        EXPECT_TRUE(!failed.empty() || report.rows.at(30).what == row_outcome::status::refused) << way.name << count;
        result found = co_await c.query("SELECT count(*) FROM t");
        EXPECT_EQ(found.rows.at(0).at(0), value(static_cast<std::int64_t>(count - 1))) << way.name << ", " << count;
        co_await c.reset();
        co_await c.execute("DROP FUNCTION IF EXISTS pg_temp.judge");
        co_await c.execute("DROP FUNCTION IF EXISTS pg_temp.fits");
      }
    co_await c.execute("DROP ROLE penstock_judged");
  });
}

// What the server may take the next time, or is not the row's, is no refusal, though it comes from within a trigger.
TEST_F(postgres_batch, what_passes_within_a_trigger_fails_the_batch) {
  struct passing {
    const char* does;
    db_errc errc;
  };
  const passing ways[] = {
      {"RAISE serialization_failure", db_errc::serialization},
      {"RAISE deadlock_detected", db_errc::deadlock},
      {"RAISE lock_not_available", db_errc::lock_timeout},
      {"RAISE query_canceled", db_errc::interrupted},
      {"RAISE admin_shutdown", db_errc::connection_lost},
      {"SET LOCAL temp_file_limit = 0; PERFORM g FROM generate_series(1, 1000000) AS g ORDER BY g", db_errc::other},
  };
  with_connection([&](connection& c) -> task<> {
    for (const passing& way : ways)
      for (std::size_t count : {40, 2'000}) {
        co_await c.execute(
            "CREATE TEMPORARY TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v bigint)");
        co_await c.execute(trigger_that(way.does));
        co_await c.execute("CREATE TRIGGER judged BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.judge()");
        const row_batch rows = rows_with_a_bad_one(count);
        const table_definition into{"t", "id", {{"v", column_type::integer}}, {}};
        batch_report report;
        std::optional<db_errc> failed;
        try {
          co_await c.insert_batch(into, rows, report);
        } catch (const database_error& e) {
          failed = e.errc();
        }
        EXPECT_EQ(failed, way.errc) << way.does << ", " << count;
        co_await c.reset();
        co_await c.execute("DROP FUNCTION IF EXISTS pg_temp.judge");
      }
  });
}

// Rows of -1 for each place, and others from 0 on.
row_batch rows_with_minus_one_at(const std::vector<std::size_t>& places, std::size_t count) {
  row_batch rows(2);
  for (std::size_t i = 0; i < count; ++i) {
    bool bad = std::find(places.begin(), places.end(), i) != places.end();
    rows.add_integer(bad ? -1 : static_cast<std::int64_t>(i));
    rows.add_text("the same in all rows");
    rows.commit_row();
  }
  return rows;
}

TEST_F(postgres_batch, rows_that_are_known_to_be_refused_cost_their_neighbours_nothing) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TEMPORARY TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, "
        "v bigint CONSTRAINT from_zero CHECK (v >= 0), w text)");
    const table_definition into{"t", "id", {{"v", column_type::integer}, {"w", column_type::text}}, {}};
    const std::vector<std::size_t> bad = {70, 500, 501, 1'200, 1'999};
    for (int round = 0; round < 3; ++round) {
      row_batch rows = rows_with_minus_one_at(bad, 2'000);
      batch_report report;
      task<std::string> inserting = insert(c, into, rows, report);
      std::string failed = co_await std::move(inserting);
      EXPECT_EQ(failed, "");
      EXPECT_EQ(report.method, "copy");
      EXPECT_EQ(report.refusals.size(), bad.size());
      for (std::size_t place : bad) EXPECT_EQ(report.rows.at(place).what, row_outcome::status::refused) << place;
    }
    // Once they are taken, they stand where they belong.
    co_await c.execute("ALTER TABLE t DROP CONSTRAINT from_zero");
    for (int round = 0; round < 2; ++round) {
      row_batch rows = rows_with_minus_one_at(bad, 2'000);
      batch_report report;
      task<std::string> inserting = insert(c, into, rows, report);
      std::string failed = co_await std::move(inserting);
      EXPECT_EQ(failed, "");
      EXPECT_TRUE(report.refusals.empty());
      for (std::size_t i = 1; i < rows.rows(); ++i) EXPECT_EQ(report.rows[i].id, report.rows[i - 1].id + 1) << i;
    }
    result found = co_await c.query("SELECT count(*), count(*) FILTER (WHERE v = -1) FROM t");
    EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{3 * 1'995 + 2 * 2'000}));
    EXPECT_EQ(found.rows.at(0).at(1), value(std::int64_t{2 * 5}));
  });
}

TEST_F(postgres_batch, a_unique_key_that_is_checked_at_the_end_is_drift) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TEMPORARY TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY, v bigint UNIQUE DEFERRABLE)");
    const table_definition into{"t", "id", {{"v", column_type::integer}}, {"v"}};
    std::string difference;
    try {
      task<void> preparing = c.prepare_table(into);
      co_await std::move(preparing);
    } catch (const database_error& e) {
      difference = e.message();
    }
    EXPECT_NE(difference.find("unique index on (v)"), std::string::npos) << difference;
  });
}

TEST_F(postgres_batch, an_account_that_may_not_use_the_sequence_of_ids_stores_large_batches_and_is_told) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("DROP TABLE IF EXISTS limited");
    table_definition table{"limited", "id", {{"v", column_type::real}}, {}};
    task<void> preparing = c.prepare_table(table);
    co_await std::move(preparing);
    co_await c.execute("ALTER TABLE limited ADD remark text");
    co_await c.execute("DROP ROLE IF EXISTS penstock_limited");
    co_await c.execute("CREATE ROLE penstock_limited");
    co_await c.execute("GRANT SELECT, INSERT ON limited TO penstock_limited");
    co_await c.execute("SET ROLE penstock_limited");
    batch_report stored = co_await insert_many(c, table, 1);
    EXPECT_EQ(stored.method, "unnest");
    EXPECT_EQ(stored.rows.size(), 600u);
    expected_load load;
    load.tables = {{"limited", {"SELECT", "INSERT", "UPDATE"}}, {"missing", {"INSERT"}}};
    task<std::vector<finding>> examining = c.examine(load);
    std::vector<finding> found = co_await std::move(examining);
    auto says = [&](const char* what) {
      return std::any_of(found.begin(), found.end(), [&](const finding& f) { return f.what == what; });
    };
    EXPECT_TRUE(says("no right to use sequence limited_id_seq"));
    EXPECT_TRUE(says("no right to UPDATE in table \"limited\""));
    EXPECT_FALSE(says("no right to INSERT in table \"limited\""));
    EXPECT_FALSE(says("no right to INSERT in table \"missing\""));
    co_await c.execute("RESET ROLE");
    co_await c.execute("DROP TABLE limited");
    co_await c.execute("DROP ROLE penstock_limited");
  });
}

TEST_F(postgres_batch, a_right_without_which_nothing_can_be_served_is_an_error_with_what_grants_it) {
  with_connection([](connection& c) -> task<> {
    co_await c.begin();  // rolled back in the end
    co_await c.execute("CREATE ROLE penstock_closed");
    co_await c.execute("CREATE SCHEMA closed");
    co_await c.execute("GRANT USAGE ON SCHEMA closed TO penstock_closed");
    co_await c.execute("CREATE TABLE closed.there(id bigint)");
    co_await c.execute("GRANT SELECT, INSERT, UPDATE ON closed.there TO penstock_closed");
    co_await c.execute("SET ROLE penstock_closed");
    expected_load load;
    load.tables = {{"closed.there", {"SELECT", "INSERT", "UPDATE", "DELETE"}}, {"closed.missing", {"INSERT"}}};
    task<std::vector<finding>> examining = c.examine(load);
    std::vector<finding> found = co_await std::move(examining);
    std::vector<std::pair<std::string, std::string>> errors;
    for (const finding& f : found)
      if (f.how == finding::level::error) errors.emplace_back(f.what, f.change);
    const std::vector<std::pair<std::string, std::string>> expected = {
        {"no right to DELETE in table \"closed\".\"there\"", "GRANT DELETE ON \"closed\".\"there\" TO this account"},
        {"no right to create table \"closed\".\"missing\"",
         "GRANT CREATE ON SCHEMA \"closed\" TO this account; or make the table by hand"}};
    EXPECT_EQ(errors, expected);
    co_await c.rollback();
  });
}

TEST_F(postgres_batch, a_large_batch_is_stored_though_another_has_dropped_the_prepared_statements) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t(id bigint GENERATED BY DEFAULT AS IDENTITY, v double precision)");
    table_definition table{"t", "id", {{"v", column_type::real}}, {}};
    co_await insert_many(c, table, 1);
    co_await c.execute("DEALLOCATE ALL");
    batch_report stored = co_await insert_many(c, table, 2);
    EXPECT_EQ(stored.method, "copy");
    EXPECT_EQ(stored.rows.size(), 600u);
    result found = co_await c.query("SELECT count(*) FROM t");
    EXPECT_EQ(std::get<std::int64_t>(found.rows.at(0).at(0)), 1200);
  });
}

// Rows for the table `child`, of which each names a row of `parent`.
row_batch children(const std::vector<std::int64_t>& parents, std::size_t copies) {
  row_batch rows(1);
  for (std::size_t i = 0; i < copies; ++i)
    for (std::int64_t parent : parents) {
      rows.add_integer(parent);
      rows.commit_row();
    }
  return rows;
}

TEST_F(postgres_batch, a_row_that_breaks_a_deferred_constraint_harms_no_neighbour) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE parent (id bigint PRIMARY KEY)");
    co_await c.execute("INSERT INTO parent VALUES (1)");
    co_await c.execute(
        "CREATE TEMPORARY TABLE child (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, "
        "parent bigint REFERENCES parent DEFERRABLE INITIALLY DEFERRED)");
    const table_definition table{"child", "id", {{"parent", column_type::integer, false}}, {}};
    for (std::size_t copies : {1, 300}) {
      row_batch rows = children({1, 2, 1}, copies);
      batch_report report;
      task<void> inserting = c.insert_batch(table, rows, report);
      co_await std::move(inserting);
      EXPECT_EQ(report.refusals.size(), copies);
      for (std::size_t i = 0; i < rows.rows(); ++i)
        EXPECT_EQ(report.rows[i].what, i % 3 == 1 ? row_outcome::status::refused : row_outcome::status::stored) << i;
    }
    result stored = co_await c.query("SELECT count(*) FROM child");
    EXPECT_EQ(stored.rows.at(0).at(0), value(std::int64_t{602}));
  });
}

TEST_F(postgres_batch, a_deferred_constraint_may_be_changed_between_batches) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE parent (id bigint PRIMARY KEY)");
    co_await c.execute("INSERT INTO parent VALUES (1)");
    co_await c.execute("CREATE TEMPORARY TABLE child (id bigserial, parent bigint)");
    const std::string add = "ALTER TABLE child ADD CONSTRAINT kept FOREIGN KEY (parent) REFERENCES parent NOT VALID";
    const table_definition table{"child", "id", {{"parent", column_type::integer, false}}, {}};
    row_batch rows = children({1, 2, 1}, 1);
    for (const std::string& change :
         {add + " DEFERRABLE INITIALLY DEFERRED", std::string("ALTER TABLE child DROP CONSTRAINT kept"), add,
          std::string("ALTER TABLE child ALTER CONSTRAINT kept DEFERRABLE INITIALLY DEFERRED")}) {
      co_await c.execute(change);
      batch_report report;
      co_await c.insert_batch(table, rows, report);
      EXPECT_EQ(report.refusals.size(), change.find("DROP") == change.npos ? 1u : 0u) << change;
    }
  });
}

}  // namespace
}  // namespace penstock::db
