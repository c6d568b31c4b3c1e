#include "server_fixture.h"
#include <penstock/async/timeout.h>
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/db/transaction.h>

#include <optional>

#include <gtest/gtest.h>

// What is PostgreSQL's own; what all databases share is in the conformance tests.

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

class postgres_session : public server_test {
 protected:
  postgres_session() : server_test("TESTED_POSTGRESQL") {}
};

TEST_F(postgres_session, question_marks_in_quotes_and_comments_are_no_parameters) {
  with_connection([](connection& c) -> task<> {
    task<result> asking = c.query(
        "SELECT '?', $$?$$, $a$?$$?$a$, E'\\'?', \"?\".x, /* ? /* ? */ ? */ ?::bigint -- ?\n"
        "FROM (SELECT 1 AS x) AS \"?\" WHERE '{\"a\": 1}'::jsonb ?? ?",
        parameters_of(7, "a"));
    result r = co_await std::move(asking);
    EXPECT_EQ(r.rows.size(), 1u);
    EXPECT_EQ(std::get<std::string>(r.rows[0][0]), "?");
    EXPECT_EQ(std::get<std::string>(r.rows[0][2]), "?$$?");
    EXPECT_EQ(std::get<std::string>(r.rows[0][3]), "'?");
    EXPECT_EQ(std::get<std::int64_t>(r.rows[0][5]), 7);
  });
}

TEST_F(postgres_session, a_whole_number_is_stored_as_it_is_or_refused) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t(a smallint, b integer, c real, d numeric)");
    co_await c.execute("INSERT INTO t VALUES (?, ?, ?, ?)", parameters_of(32767, -1, 0.5, INT64_MAX));
    db_errc errc = db_errc::other;
    try {
      co_await c.execute("INSERT INTO t(a) VALUES (?)", parameters_of(32768));
    } catch (const database_error& e) {
      errc = e.errc();
    }
    EXPECT_EQ(errc, db_errc::data);
    result r = co_await c.query("SELECT a, b, c, d FROM t");
    EXPECT_EQ(r.rows.size(), 1u);
    EXPECT_EQ(std::get<std::int64_t>(r.rows[0][0]), 32767);
    EXPECT_EQ(std::get<std::string>(r.rows[0][3]), "9223372036854775807");
  });
}

TEST_F(postgres_session, results_with_a_type_of_no_counterpart_have_the_same_values) {
  with_connection([](connection& c) -> task<> {
    std::string typed =
        "SELECT 1::smallint, -5::bigint, 1.5::real, 0.1::double precision, true, '\\x00ff'::bytea, "
        "'2024-02-29 23:05:09.00007+00'::timestamptz, '0044-03-15 12:00:00 BC'::timestamp, NULL::text, 'x'::text";
    result binary = co_await c.query(typed);
    result text = co_await c.query(typed + ", 1.50::numeric, 'infinity'::timestamptz");
    EXPECT_EQ(std::get<std::string>(text.rows[0][10]), "1.50");
    EXPECT_EQ(std::get<timestamp>(text.rows[0][11]), timestamp::max());
    for (std::size_t i = 0; i < binary.rows[0].size(); ++i)
      EXPECT_EQ(binary.rows[0][i], text.rows[0][i]) << "column " << i;
    EXPECT_EQ(format_timestamp(std::get<timestamp>(text.rows[0][6])), "2024-02-29T23:05:09.000070Z");
  });
}

TEST_F(postgres_session, a_statement_is_prepared_again_when_its_table_has_changed) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t(a integer)");
    co_await c.execute("INSERT INTO t VALUES (?)", parameters_of(1));
    co_await c.query("SELECT * FROM t");
    co_await c.execute("ALTER TABLE t ALTER a TYPE bigint, ADD b text");
    result r = co_await c.query("SELECT * FROM t");
    EXPECT_EQ(r.columns.size(), 2u);
    co_await c.execute("INSERT INTO t VALUES (?)", parameters_of(INT64_MAX));
    co_await c.execute("DEALLOCATE ALL");
    r = co_await c.query("SELECT * FROM t");
    EXPECT_EQ(r.rows.size(), 2u);
  });
}

TEST_F(postgres_session, many_different_statements_do_not_pile_up) {
  with_connection([](connection& c) -> task<> {
    for (int i = 0; i < 300; ++i) {
      result r = co_await c.query("SELECT " + std::to_string(i));
      EXPECT_EQ(std::get<std::int64_t>(r.rows[0][0]), i);
    }
    result r = co_await c.query("SELECT count(*) FROM pg_prepared_statements");
    EXPECT_LE(std::get<std::int64_t>(r.rows[0][0]), 130);
  });
}

TEST_F(postgres_session, settings_survive_a_reset_and_changes_do_not) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("SET timezone = 'Asia/Tokyo'");
    co_await c.execute("SET work_mem = '77MB'");
    co_await c.begin();
    co_await c.execute("CREATE TEMPORARY TABLE left_over(x integer)");
    EXPECT_EQ(c.state(), session_state::dirty);
    co_await c.reset();
    EXPECT_EQ(c.state(), session_state::clean);
    result r = co_await c.query(
        "SELECT current_setting('timezone'), current_setting('work_mem') = '77MB', to_regclass('left_over') IS NULL, "
        "current_setting('application_name')");
    EXPECT_EQ(std::get<std::string>(r.rows[0][0]), "UTC");
    EXPECT_FALSE(std::get<bool>(r.rows[0][1]));
    EXPECT_TRUE(std::get<bool>(r.rows[0][2]));
    EXPECT_EQ(std::get<std::string>(r.rows[0][3]), "penstock");
  });
}

TEST_F(postgres_session, a_commit_after_a_failed_statement_says_that_nothing_was_committed) {
  with_connection([](connection& c) -> task<> {
    co_await c.begin();
    bool failed = false;
    try {
      co_await c.execute("SELECT 1/0");
    } catch (const database_error&) {
    }
    try {
      co_await c.commit();
    } catch (const database_error&) {
      failed = true;
    }
    EXPECT_TRUE(failed);
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

TEST_F(postgres_session, a_session_that_the_server_ended_is_lost_and_its_commit_ambiguous) {
  with_connection([this](connection& killer) -> task<> {
    database server(url());
    for (bool committing : {false, true}) {
      task<std::unique_ptr<connection>> connecting = server.connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      co_await c->begin();
      result r = co_await c->query("SELECT pg_backend_pid()");
      const auto victim = std::get<std::int64_t>(r.rows[0][0]);
      co_await killer.query("SELECT pg_terminate_backend(?)", parameters_of(victim));
      for (bool alive = true; alive;) {
        result left = co_await killer.query("SELECT pid FROM pg_stat_activity WHERE pid = ?", parameters_of(victim));
        alive = !left.rows.empty();
      }
      std::optional<db_errc> errc;
      try {
        if (committing) {
          co_await c->commit();
        } else {
          co_await c->query("SELECT 1");
        }
      } catch (const database_error& e) {
        errc = e.errc();
      }
      EXPECT_EQ(errc, committing ? db_errc::ambiguous_commit : db_errc::connection_lost);
      EXPECT_EQ(c->state(), session_state::dead);
    }
  });
}

TEST_F(postgres_session, connect_failures_are_classed) {
  with_connection([this](connection&) -> task<> {
    std::string wrong_password = url();
    wrong_password.replace(wrong_password.find("only"), 4, "0nly");
    std::string wrong_database = url() + "_missing";
    for (const auto& [there, expected] :
         {std::pair{wrong_password, db_errc::auth}, {wrong_database, db_errc::syntax}}) {
      std::optional<db_errc> errc;
      try {
        task<std::unique_ptr<connection>> connecting = database(there).connect();
        co_await std::move(connecting);
      } catch (const database_error& e) {
        errc = e.errc();
        EXPECT_EQ(e.message().find("0nly"), std::string::npos);
      }
      EXPECT_EQ(errc, expected);
    }
  });
}

TEST_F(postgres_session, copy_is_refused_and_ends_the_session) {
  with_connection([](connection& c) -> task<> {
    std::optional<db_errc> errc;
    try {
      co_await c.execute("COPY (SELECT 1) TO STDOUT");
    } catch (const database_error& e) {
      errc = e.errc();
    }
    EXPECT_EQ(errc, db_errc::syntax);
    EXPECT_EQ(c.state(), session_state::dead);
  });
}

// A sequence with steps stands for other sessions, which take ids in between.
TEST_F(postgres_session, a_copied_batch_has_the_ids_that_its_rows_have_though_they_are_not_next_to_one_another) {
  with_connection([](connection& c) -> task<> {
    const table_definition table{"copied", "id", {{"n", column_type::integer, false}}, {}};
    row_batch rows(1);
    for (std::int64_t i = 0; i < 1'000; ++i) {
      rows.add_integer(i);
      rows.commit_row();
    }
    for (int step : {1, 3, -1}) {
      co_await c.execute("DROP TABLE IF EXISTS copied");
      co_await c.execute("CREATE TABLE copied (id bigint GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY " +
                         std::to_string(step) + ") PRIMARY KEY, n bigint)");
      batch_report report;
      for (int round = 0; round < 2; ++round) co_await c.insert_batch(table, rows, report);
      EXPECT_EQ(report.method, "copy");
      for (std::size_t i = 0; i < 1'000; i += 111) {
        result r = co_await c.query("SELECT n FROM copied WHERE id = ?", parameters_of(report.rows.at(i).id));
        EXPECT_EQ(r.rows.at(0).at(0), value(static_cast<std::int64_t>(i))) << "with steps of " << step;
      }
    }
    co_await c.execute("DROP TABLE copied");
  });
}

}  // namespace
}  // namespace penstock::db
