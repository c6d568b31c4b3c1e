#include "server_fixture.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <optional>

#include <gtest/gtest.h>
#include <unistd.h>

// Statements that a session keeps prepared, while what they are about changes.

namespace penstock::db {
namespace {

class postgres_statements : public server_test {
 protected:
  postgres_statements() : server_test("TESTED_POSTGRESQL") {}
};

TEST_F(postgres_statements, a_statement_is_prepared_again_when_its_table_has_changed) {
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
    co_await c.execute("ALTER TABLE t ALTER a TYPE text");
    co_await c.execute("INSERT INTO t VALUES (?)", parameters_of("9"));
    co_await c.execute("DELETE FROM t");
    co_await c.execute("ALTER TABLE t ALTER a TYPE bigint USING a::bigint");
    co_await c.execute("INSERT INTO t VALUES (?)", parameters_of("9"));
    r = co_await c.query("SELECT a FROM t");
    EXPECT_EQ(r.rows.at(0).at(0), value(std::int64_t{9}));
  });
}

// Kept statements make room for others first.
TEST_F(postgres_statements, one_that_must_be_alone_is_run_when_many_are_kept) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t(a integer)");
    for (int i = 0; i < 200; ++i) co_await c.query("SELECT " + std::to_string(i));
    co_await c.execute("VACUUM t");
    result r = co_await c.query("SELECT count(*) FROM t");
    EXPECT_EQ(r.rows.at(0).at(0), value(std::int64_t{0}));
  });
}

TEST_F(postgres_statements, that_the_server_has_lost_are_let_go_of_without_harm_to_others) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t(a integer)");
    int number = 0;
    auto use_more_than_are_kept = [&]() -> task<> {
      for (int i = 0; i < 130; ++i) {
        std::string sql = "SELECT " + std::to_string(++number);
        co_await c.query(std::move(sql));
      }
    };
    for (int transactions = 0; transactions < 2; ++transactions) {
      co_await use_more_than_are_kept();
      if (transactions == 1) co_await c.begin();
      co_await c.execute("DEALLOCATE ALL");
      EXPECT_EQ(co_await c.execute("INSERT INTO t VALUES (" + std::to_string(++number) + ")"), 1u);
      co_await use_more_than_are_kept();
      if (transactions == 1) co_await c.commit();
    }
    result kept = co_await c.query("SELECT count(*) FROM t");
    EXPECT_EQ(kept.rows.at(0).at(0), value(std::int64_t{2}));
    co_await use_more_than_are_kept();
    result at_server = co_await c.query("SELECT count(*) FROM pg_prepared_statements");
    EXPECT_EQ(at_server.rows.at(0).at(0), value(std::int64_t{129}));  // one is let go of with the next
  });
}

struct read_rows {
  std::uint64_t taken = 0;
  std::optional<db_errc> failed;
};

task<read_rows> read_all(connection& c, std::string sql) {
  read_rows read;
  row_consumer take = [&](const result& some) -> task<void> {
    read.taken += some.rows.size();
    co_return;
  };
  try {
    task<std::uint64_t> reading = c.query_each(std::move(sql), {}, take, 10);
    EXPECT_EQ(co_await std::move(reading), read.taken);
  } catch (const database_error& e) {
    read.failed = e.errc();
  }
  co_return read;
}

TEST_F(postgres_statements, rows_are_handed_over_once_though_the_statement_fails_like_one_of_a_changed_table) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY SEQUENCE calls");
    co_await c.execute(
        "CREATE FUNCTION pg_temp.fails_once(i integer, code text) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN "
        "IF i = 50 THEN IF nextval('calls') % 2 = 1 THEN RAISE 'not yet' USING ERRCODE = code; END IF; END IF; "
        "RETURN i; END $$");
    for (const char* code : {"0A000", "26000"}) {
      std::string sql = "SELECT pg_temp.fails_once(g, '" + std::string(code) + "') FROM generate_series(1, 100) AS g";
      read_rows cut_short = co_await read_all(c, sql);
      EXPECT_TRUE(cut_short.failed.has_value()) << code;
      EXPECT_LT(cut_short.taken, 50u) << code;
      read_rows whole = co_await read_all(c, sql);
      EXPECT_EQ(whole.failed, std::nullopt) << code;
      EXPECT_EQ(whole.taken, 100u) << code;
    }
  });
}

// Letting go of a statement takes the transaction's snapshot, and what must come before one is refused then.
TEST_F(postgres_statements, that_are_let_go_of_take_no_snapshot_in_a_transaction) {
  with_connection([](connection& c) -> task<> {
    for (int i = 0; i < 200; ++i) {
      co_await c.query("SELECT " + std::to_string(i));
      if (i != 140) continue;
      co_await c.begin();
      for (const char* level : {"REPEATABLE READ", "SERIALIZABLE"})
        co_await c.execute(std::string("SET TRANSACTION ISOLATION LEVEL ") + level);
      co_await c.rollback();
    }
    co_await c.begin();
    for (int i = 1'000; i < 2'000; ++i) co_await c.query("SELECT " + std::to_string(i));
    result kept = co_await c.query("SELECT count(*) FROM pg_prepared_statements");
    EXPECT_LE(std::get<std::int64_t>(kept.rows.at(0).at(0)), 260);
    co_await c.rollback();
  });
}

TEST_F(postgres_statements, of_a_users_own_that_are_not_there_are_no_reason_to_try_again) {
  with_connection([](connection& c) -> task<> {
    for (const char* sql : {"EXECUTE misspelt", "DEALLOCATE misspelt"}) {
      std::optional<db_errc> failed;
      try {
        co_await c.execute(sql);
      } catch (const database_error& e) {
        failed = e.errc();
      }
      EXPECT_EQ(failed, db_errc::syntax) << sql;
    }
  });
}

TEST_F(postgres_statements, statements_that_fail_while_rows_are_read_do_not_pile_up) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute(
        "CREATE FUNCTION pg_temp.fails(code text) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING "
        "ERRCODE "
        "= code; END $$");
    const std::string count = "SELECT count(*) FROM pg_prepared_statements";
    result before = co_await c.query(count);
    for (int i = 0; i < 10; ++i) {
      co_await c.query("SELECT 1");
      read_rows none = co_await read_all(c, "SELECT pg_temp.fails('0A000')");
      EXPECT_EQ(none.failed, db_errc::syntax);
    }
    result after = co_await c.query(count);
    EXPECT_LE(std::get<std::int64_t>(after.rows.at(0).at(0)), std::get<std::int64_t>(before.rows.at(0).at(0)) + 2);
    for (int i = 0; i < 300; ++i) co_await read_all(c, "SELECT " + std::to_string(i));
    after = co_await c.query(count);
    EXPECT_LE(std::get<std::int64_t>(after.rows.at(0).at(0)), 130);
  });
}

TEST_F(postgres_statements, rows_of_a_changed_table_are_read_by_a_statement_prepared_again) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t(a integer)");
    co_await c.execute("INSERT INTO t VALUES (1)");
    const char* types[] = {"varchar", "text", "varchar"};
    std::size_t changes = 0;
    for (const char* change : {"ALTER TABLE t ALTER a TYPE text", "ALTER TABLE t ADD b integer", "DEALLOCATE ALL"}) {
      co_await read_all(c, "TABLE t");
      co_await c.execute(change);
      read_rows read = co_await read_all(c, "TABLE t");
      EXPECT_EQ(read.failed, std::nullopt) << change;
      EXPECT_EQ(read.taken, 1u) << change;
      co_await c.execute("ALTER TABLE t ALTER a TYPE " + std::string(types[changes++]));
      co_await c.begin();
      read = co_await read_all(c, "TABLE t");
      EXPECT_EQ(read.failed, db_errc::serialization) << change;
      co_await c.rollback();
    }
  });
}

TEST_F(postgres_statements, many_different_statements_do_not_pile_up) {
  with_connection([](connection& c) -> task<> {
    for (int i = 0; i < 300; ++i) {
      result r = co_await c.query("SELECT " + std::to_string(i));
      EXPECT_EQ(std::get<std::int64_t>(r.rows[0][0]), i);
    }
    result r = co_await c.query("SELECT count(*) FROM pg_prepared_statements");
    EXPECT_LE(std::get<std::int64_t>(r.rows[0][0]), 130);
  });
}

TEST_F(postgres_statements, rows_are_read_by_parameters_of_the_types_of_now) {
  with_connection([](connection& c) -> task<> {
    const std::string sql = "SELECT b FROM t WHERE a = ?";
    std::uint64_t taken = 0;
    row_consumer take = [&](const result& some) -> task<void> {
      taken += some.rows.size();
      co_return;
    };
    co_await c.execute("CREATE TEMPORARY TABLE t(a text, b text)");
    co_await c.execute("INSERT INTO t VALUES ('1', 'x')");
    co_await c.query_each(sql, parameters_of("1"), take);
    co_await c.execute("ALTER TABLE t ALTER a TYPE bigint USING a::bigint");
    co_await c.query_each(sql, parameters_of(1), take);
    co_await c.execute("ALTER TABLE t ALTER a TYPE text");
    co_await c.query_each(sql, parameters_of("1"), take);
    EXPECT_EQ(taken, 3u);
  });
}

// What it did before is committed.
TEST_F(postgres_statements, a_procedure_that_fails_is_not_run_again) {
  with_connection([](connection& c) -> task<> {
    const std::string name = "commits_and_fails_" + std::to_string(::getpid());
    co_await c.execute("CREATE TEMPORARY TABLE t(a integer)");
    co_await c.execute("CREATE PROCEDURE " + name + "(v text) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (1); " +
                       "COMMIT; PERFORM v::integer; END $$");
    for (int times = 1; times < 4; ++times) {
      std::optional<db_errc> errc;
      try {
        co_await c.execute("CALL " + name + "(?)", parameters_of("abc"));
      } catch (const database_error& e) {
        errc = e.errc();
      }
      EXPECT_EQ(errc, db_errc::data);
      result r = co_await c.query("SELECT count(*) FROM t");
      EXPECT_EQ(r.rows.at(0).at(0), value(std::int64_t{times}));
    }
    co_await c.execute("DEALLOCATE ALL");
    co_await c.execute("CALL " + name + "(?)", parameters_of("7"));  // nothing has run when its statement is missed
    co_await c.execute("DROP PROCEDURE " + name);
  });
}

TEST_F(postgres_statements, more_parameters_than_the_library_bears_are_refused) {
  with_connection([](connection& c) -> task<> {
    for (int count : {7'498, 7'499, 60'000}) {
      std::string sql = "SELECT 1 WHERE 1 IN (?";
      for (int i = 1; i < count; ++i) sql += ",?";
      sql += ")";
      std::optional<db_errc> errc;
      try {
        co_await c.query(sql, parameters(static_cast<std::size_t>(count), value(std::int64_t{1})));
      } catch (const database_error& e) {
        errc = e.errc();
      }
      EXPECT_EQ(errc, count > 7'498 ? std::optional(db_errc::syntax) : std::nullopt) << count;
      EXPECT_EQ(c.state(), session_state::clean);
    }
  });
}

}  // namespace
}  // namespace penstock::db
