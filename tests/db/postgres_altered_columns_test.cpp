#include "server_fixture.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

// Statements with parameters that a session keeps, while another one alters the columns that they go into.

namespace penstock::db {
namespace {

const value some_time = timestamp(std::chrono::microseconds(1'700'000'000'123'456));

struct alteration {
  const char* from;
  const char* to;
  value before;  // what a statement is prepared with
  value after;
  const char* stored;  // the text of that
};

const std::vector<alteration> alterations = {
    {"real", "double precision", 0.1, 0.1, "0.1"},
    {"real", "numeric(20, 10)", 0.5, 0.1234567891, "0.1234567891"},
    {"integer", "text", "5", "007", "007"},
    {"integer", "bigint", "5", "5000000000", "5000000000"},
    {"date", "timestamp", "2026-01-01", "2026-01-01 10:11:12", "2026-01-01 10:11:12"},
    {"timestamptz", "text", some_time, "no time", "no time"},
    {"timestamptz", "timestamp", some_time, "2026-01-01 00:00:00+05", "2026-01-01 00:00:00"},
    {"time", "text", "10:10", "10:11", "10:11"},
    {"jsonb", "json", "{}", "{ \"b\": 1,  \"a\": 2 }", "{ \"b\": 1,  \"a\": 2 }"},
};

class postgres_altered_columns : public server_test {
 protected:
  postgres_altered_columns() : server_test("TESTED_POSTGRESQL") {}

  const std::string table = "altered_columns_" + std::to_string(::getpid());
  const std::string insert = "INSERT INTO " + table + " (k) VALUES (?)";
  const std::string update = "UPDATE " + table + " SET k = ?";
  const std::string insert_and_tell = insert + " RETURNING k::text";

  // Runs `body(connection, another one)` beside a table that is gone in the end.
  template <class Body>
  void with_two(Body body) {
    with_connection([&](connection& other) -> task<> {
      database server(patient(url()));
      task<std::unique_ptr<connection>> connecting = server.connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      task<void> running = body(*c, other);
      co_await std::move(running);
      co_await other.execute("DROP TABLE IF EXISTS " + table);
    });
  }

  task<void> make(connection& other, std::string type) {
    co_await other.execute("DROP TABLE IF EXISTS " + table);
    co_await other.execute("CREATE TABLE " + table + " (k " + type + ")");
  }

  task<void> alter(connection& other, std::string type) {
    co_await other.execute("DELETE FROM " + table);
    co_await other.execute("ALTER TABLE " + table + " ALTER k TYPE " + type);
  }

  task<std::string> stored(connection& other) {
    task<result> asking = other.query("SELECT k::text FROM " + table);
    result found = co_await std::move(asking);
    EXPECT_EQ(found.rows.size(), 1u);
    co_return found.rows.empty() ? "nothing" : std::get<std::string>(found.rows.at(0).at(0));
  }

  static parameters of(const value& v) { return parameters(1, v); }

  static task<std::optional<db_errc>> failure_of(connection& c, std::string sql, parameters values) {
    std::optional<db_errc> failed;
    try {
      task<std::uint64_t> running = c.execute(std::move(sql), std::move(values));
      co_await std::move(running);
    } catch (const database_error& e) {
      failed = e.errc();
    }
    co_return failed;
  }
};

TEST_F(postgres_altered_columns, get_what_a_session_of_their_own_would_store) {
  with_two([&](connection& c, connection& other) -> task<> {
    for (const alteration& way : alterations) {
      SCOPED_TRACE(std::string(way.from) + " to " + way.to);
      co_await make(other, way.from);
      parameters before = of(way.before), after = of(way.after);
      for (const std::string* sql : {&insert, &update, &insert_and_tell}) co_await c.execute(*sql, before);
      co_await alter(other, way.to);
      EXPECT_EQ(co_await c.execute(insert, after), 1u);
      EXPECT_EQ(co_await stored(other), way.stored);
      EXPECT_EQ(co_await c.execute(update, after), 1u);
      EXPECT_EQ(co_await stored(other), way.stored);
      co_await other.execute("DELETE FROM " + table);
      result told = co_await c.query(insert_and_tell, after);
      EXPECT_EQ(told.rows.size(), 1u);
      EXPECT_EQ(told.rows.at(0).at(0), value(way.stored));
      EXPECT_EQ(co_await stored(other), way.stored);
    }
  });
}

TEST_F(postgres_altered_columns, get_it_once_where_their_rows_are_handed_over_too) {
  with_two([&](connection& c, connection& other) -> task<> {
    for (const alteration& way : alterations) {
      SCOPED_TRACE(std::string(way.from) + " to " + way.to);
      std::string told;
      row_consumer take = [&](const result& some) -> task<void> {
        for (const auto& row : some.rows) told += std::get<std::string>(row.at(0));
        co_return;
      };
      co_await make(other, way.from);
      parameters before = of(way.before), after = of(way.after);
      co_await c.query_each(insert_and_tell, before, take);
      co_await alter(other, way.to);
      told.clear();
      co_await c.query_each(insert_and_tell, after, take);
      EXPECT_EQ(told, way.stored);
      EXPECT_EQ(co_await stored(other), way.stored);
    }
  });
}

TEST_F(postgres_altered_columns, fail_the_transaction_that_was_about_to_go_by_the_types_of_before) {
  with_two([&](connection& c, connection& other) -> task<> {
    co_await make(other, "real");
    parameters tenth = of(0.1);
    for (int times = 0; times < 2; ++times) {
      SCOPED_TRACE(times);
      const char* to[] = {"double precision", "numeric"};
      co_await c.begin();
      co_await c.execute(insert, tenth);
      co_await c.commit();
      co_await alter(other, to[times]);
      co_await c.begin();
      EXPECT_EQ(co_await failure_of(c, insert, tenth), db_errc::serialization);
      co_await c.rollback();
      co_await c.begin();
      co_await c.execute(insert, tenth);
      co_await c.commit();
      EXPECT_EQ(co_await stored(other), "0.1");
    }
  });
}

// A statement is as old as its watch, which the other one has renewed.
TEST_F(postgres_altered_columns, are_noticed_by_each_statement_that_is_kept) {
  with_two([&](connection& c, connection& other) -> task<> {
    co_await make(other, "real");
    parameters tenth = of(0.1);
    EXPECT_EQ(co_await failure_of(c, update, {}), db_errc::syntax);  // it has a parameter
    co_await c.execute(insert, tenth);
    co_await c.execute(update, tenth);
    co_await alter(other, "double precision");
    co_await c.execute("DELETE FROM " + table + " WHERE k = ?", tenth);  // is new
    co_await c.execute(insert, tenth);
    EXPECT_EQ(co_await stored(other), "0.1");
    co_await c.execute(update, tenth);
    EXPECT_EQ(co_await stored(other), "0.1");
  });
}

TEST_F(postgres_altered_columns, may_be_altered_by_the_transaction_that_fills_them) {
  with_two([&](connection& c, connection& other) -> task<> {
    co_await make(other, "real");
    parameters tenth = of(0.1);
    co_await c.execute(insert, tenth);
    co_await c.begin();
    co_await c.execute(insert, tenth);
    co_await alter(c, "double precision");
    co_await c.execute(insert, tenth);
    co_await c.commit();
    EXPECT_EQ(co_await stored(other), "0.1");
    const std::string into_temporary = "INSERT INTO passing (a) VALUES (?)";
    for (const char* columns : {"(a real)", "(b text, a double precision)", "(a real)"}) {
      co_await c.begin();
      co_await c.execute(std::string("CREATE TEMPORARY TABLE passing ") + columns + " ON COMMIT DROP");
      co_await c.execute(into_temporary, tenth);
      result found = co_await c.query("SELECT count(*) FROM passing WHERE a::text = '0.1'");
      EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{1})) << columns;
      co_await c.commit();
    }
  });
}

TEST_F(postgres_altered_columns, beside_which_one_is_new_fail_nothing) {
  with_two([&](connection& c, connection& other) -> task<> {
    co_await make(other, "real");
    parameters tenth = of(0.1);
    co_await c.execute(insert, tenth);
    co_await other.execute("ALTER TABLE " + table + " ADD other text");
    co_await c.begin();
    co_await c.execute(insert, tenth);
    co_await c.commit();
    co_await other.execute("DROP TABLE " + table);
    EXPECT_EQ(co_await failure_of(c, insert, tenth), db_errc::syntax);
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

// It has a right to insert and none to read: so nothing is watched.
TEST_F(postgres_altered_columns, need_not_be_readable) {
  with_two([&](connection& c, connection& other) -> task<> {
    co_await make(other, "real");
    const std::string role = "only_inserts_" + std::to_string(::getpid());
    parameters tenth = of(0.1);
    co_await other.execute("CREATE ROLE " + role);
    co_await other.execute("GRANT INSERT ON " + table + " TO " + role);
    co_await c.execute("SET ROLE " + role);
    for (int times = 0; times < 2; ++times) EXPECT_EQ(co_await c.execute(insert, tenth), 1u);
    co_await c.begin();
    for (int times = 0; times < 2; ++times) EXPECT_EQ(co_await c.execute(insert + " -- again", tenth), 1u);
    co_await c.commit();
    co_await other.execute("GRANT SELECT ON " + table + " TO " + role);
    co_await c.execute("DEALLOCATE ALL");
    co_await c.execute(insert, tenth);
    co_await other.execute("REVOKE SELECT ON " + table + " FROM " + role);
    co_await c.execute(insert, tenth);
    result kept = co_await other.query("SELECT count(*) FROM " + table);
    EXPECT_EQ(kept.rows.at(0).at(0), value(std::int64_t{6}));
    co_await c.reset();
    co_await other.execute("DROP OWNED BY " + role);
    co_await other.execute("DROP ROLE " + role);
  });
}

TEST_F(postgres_altered_columns, are_compared_with_what_is_looked_for_when_they_take_it) {
  with_two([&](connection& c, connection& other) -> task<> {
    co_await make(other, "timestamptz");
    const std::string look = "SELECT count(*) FROM " + table + " WHERE k = ?";
    co_await c.query(look, of(some_time));
    co_await alter(other, "text");
    co_await other.execute("INSERT INTO " + table + " VALUES ('no time')");
    result found = co_await c.query(look, parameters_of("no time"));
    EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{1}));
    co_await alter(other, "integer USING 5");
    co_await c.query(look, parameters_of(5));
    co_await alter(other, "bigint");
    found = co_await c.query(look, parameters_of("5000000000"));
    EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{0}));
  });
}

}  // namespace
}  // namespace penstock::db
