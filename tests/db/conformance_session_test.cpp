#include "conformance_numbers.h"
#include "table_drift.h"
#include <penstock/async/gather.h>

#include <stdexcept>
#include <vector>

// Statements, transactions, errors and cancellation, the same on every database.

namespace penstock::db {
namespace {

class conformance_session : public conformance_numbers {};

TEST_P(conformance_session, gives_rows_and_counts_changes) {
  with_numbers([](database&, connection& c) -> task<> {
    for (std::int64_t x : {3, 1, 2}) {
      task<std::uint64_t> inserting = insert(c, x);
      EXPECT_EQ(co_await std::move(inserting), 1u);
    }
    task<std::uint64_t> updating = c.execute("UPDATE " + table() + " SET x = x + ? WHERE x > ?", parameters_of(10, 1));
    EXPECT_EQ(co_await std::move(updating), 2u);
    task<result> asking = c.query("SELECT x AS value FROM " + table() + " ORDER BY x");
    result r = co_await std::move(asking);
    EXPECT_EQ(r.columns, std::vector<std::string>{"value"});
    EXPECT_EQ(r.rows.size(), 3u);
    EXPECT_EQ(std::get<std::int64_t>(r.rows.at(2).at(0)), 13);
    task<result> asking_nothing = c.query("SELECT x FROM " + table() + " WHERE x = ?", parameters_of(99));
    EXPECT_TRUE((co_await std::move(asking_nothing)).rows.empty());
  });
}

TEST_P(conformance_session, counts_the_changes_of_each_statement_by_itself) {
  with_numbers([this](database&, connection& c) -> task<> {
    task<std::uint64_t> inserting = c.execute("INSERT INTO " + table() + "(x) VALUES (1), (2), (3)");
    EXPECT_EQ(co_await std::move(inserting), 3u);
    for (const std::string& sql : {"CREATE INDEX by_x ON " + table() + " (x)", "SELECT x FROM " + table(),
                                   "DELETE FROM " + table() + " WHERE x = 9"}) {
      task<std::uint64_t> running = c.execute(sql);
      EXPECT_EQ(co_await std::move(running), 0u) << sql;
    }
    if (is_mysql()) co_return;  // has no RETURNING
    task<std::uint64_t> adding = c.execute("INSERT INTO " + table() + "(x) VALUES (4), (5) RETURNING x");
    EXPECT_EQ(co_await std::move(adding), 2u);
    task<std::uint64_t> deleting = c.execute("DELETE FROM " + table() + " WHERE x > 1 RETURNING x");
    EXPECT_EQ(co_await std::move(deleting), 4u);
  });
}

// The server has begun to answer when it meets it.
TEST_P(conformance_session, an_error_behind_the_first_rows_is_told) {
  if (is_mysql()) GTEST_SKIP() << "MySQL has no RETURNING";
  with_numbers([](database&, connection& c) -> task<> {
    std::string sql = "INSERT INTO " + table() + "(id, x) VALUES (1, 1), (2, 2), (2, 3) RETURNING x";
    for (bool inside : {false, true}) {
      if (inside) co_await c.begin();
      task<std::optional<db_errc>> executing = failure_of(c.execute(sql));
      EXPECT_EQ(co_await std::move(executing), db_errc::constraint);
      if (inside) co_await c.rollback();
      EXPECT_EQ(c.state(), session_state::clean);
    }
    task<std::optional<db_errc>> asking = failure_of(c.query(sql));
    EXPECT_EQ(co_await std::move(asking), db_errc::constraint);
    row_consumer ignore = [](const result&) -> task<void> { co_return; };
    task<std::optional<db_errc>> reading = failure_of(c.query_each(sql, {}, ignore, 1));
    EXPECT_EQ(co_await std::move(reading), db_errc::constraint);
    EXPECT_EQ(c.state(), session_state::clean);
    EXPECT_EQ(co_await stored(c), 0);
  });
}

TEST_P(conformance_session, a_transaction_is_seen_by_others_once_it_is_committed) {
  with_numbers([](database& here, connection& c) -> task<> {
    task<std::unique_ptr<connection>> connecting = here.connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    EXPECT_EQ(c.state(), session_state::clean);
    co_await c.begin();
    EXPECT_EQ(c.state(), session_state::dirty);
    co_await insert(c, 1);
    EXPECT_EQ(co_await stored(*other), 0);
    EXPECT_EQ(co_await stored(c), 1);
    co_await c.commit();
    EXPECT_EQ(c.state(), session_state::clean);
    EXPECT_EQ(co_await stored(*other), 1);
    co_await c.begin();
    co_await insert(c, 2);
    co_await c.rollback();
    EXPECT_EQ(c.state(), session_state::clean);
    EXPECT_EQ(co_await stored(*other), 1);
    co_await c.begin();
    co_await c.commit();
    co_await c.begin();
    co_await c.rollback();
    co_await c.rollback();
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

TEST_P(conformance_session, a_transaction_is_rolled_back_when_its_body_throws_or_is_cancelled) {
  with_numbers([](database&, connection& c) -> task<> {
    auto throwing = [](connection& inside) -> task<> {
      co_await insert(inside, 1);
      throw std::runtime_error("enough");
    };
    bool threw = false;
    try {
      task<void> running = transaction(c, throwing);
      co_await std::move(running);
    } catch (const std::runtime_error&) {
      threw = true;
    }
    EXPECT_TRUE(threw);
    EXPECT_EQ(c.state(), session_state::clean);
    auto waiting = [](connection& inside) -> task<> {
      co_await insert(inside, 1);
      co_await sleep_for(10min);
    };
    task<bool> cut = times_out(20ms, transaction(c, waiting));
    EXPECT_TRUE(co_await std::move(cut));
    EXPECT_EQ(c.state(), session_state::clean);
    EXPECT_EQ(co_await stored(c), 0);
  });
}

TEST_P(conformance_session, a_cancel_in_mid_query_returns_promptly_and_reset_makes_the_session_clean) {
  with_numbers([this](database&, connection& c) -> task<> {
    for (duration limit : {0ms, 1ms, 30ms}) {
      time_point start = scheduler::current().now();
      task<bool> cut = times_out(limit, c.query(endless_query()));
      EXPECT_TRUE(co_await std::move(cut));
      EXPECT_LT(scheduler::current().now() - start, 5s);
      co_await c.reset();
      EXPECT_EQ(c.state(), session_state::clean);
      co_await insert(c, 1);
    }
    EXPECT_EQ(co_await stored(c), 3);
  });
}

TEST_P(conformance_session, a_cancel_in_a_transaction_takes_the_transaction_with_it) {
  with_numbers([this](database& here, connection& c) -> task<> {
    co_await c.begin();
    co_await insert(c, 1);
    task<bool> cut = times_out(20ms, c.query(endless_query()));
    EXPECT_TRUE(co_await std::move(cut));
    co_await c.rollback();
    EXPECT_EQ(c.state(), session_state::clean);
    task<std::unique_ptr<connection>> connecting = here.connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await insert(*other, 2);  // nothing is locked
    EXPECT_EQ(co_await stored(c), 1);
  });
}

TEST_P(conformance_session, a_large_result_comes_piece_by_piece) {
  with_numbers([](database&, connection& c) -> task<> {
    co_await fill(c, 5'000);
    std::vector<std::size_t> sizes;
    std::int64_t next = 0;
    row_consumer take = [&](const result& some) -> task<void> {
      sizes.push_back(some.rows.size());
      for (const auto& row : some.rows) EXPECT_EQ(std::get<std::int64_t>(row.at(0)), next++);
      co_return;
    };
    for (bool inside : {false, true}) {
      sizes.clear();
      next = 0;
      if (inside) co_await c.begin();
      task<std::uint64_t> reading =
          c.query_each("SELECT x FROM " + table() + " WHERE x >= ? ORDER BY x", parameters_of(0), take, 1'500);
      EXPECT_EQ(co_await std::move(reading), 5'000u);
      EXPECT_EQ(sizes, (std::vector<std::size_t>{1'500, 1'500, 1'500, 500}));
      if (inside) co_await c.commit();
      EXPECT_EQ(c.state(), session_state::clean);
    }
    sizes.clear();
    next = 0;
    task<std::uint64_t> reading = c.query_each("SELECT x FROM " + table() + " WHERE x < 3 ORDER BY x", {}, take, 0);
    EXPECT_EQ(co_await std::move(reading), 3u);
    EXPECT_EQ(sizes, (std::vector<std::size_t>{1, 1, 1}));
  });
}

TEST_P(conformance_session, long_rows_of_a_large_result_come_few_at_a_time) {
  with_numbers([](database&, connection& c) -> task<> {
    co_await fill(c, 20);
    std::vector<std::size_t> sizes;
    row_consumer take = [&](const result& some) -> task<void> {
      sizes.push_back(some.rows.size());
      EXPECT_EQ(std::get<std::string>(some.rows.back().at(1)).size(), 300'000u);
      co_return;
    };
    task<std::uint64_t> reading =
        c.query_each("SELECT x, ? FROM " + table(), parameters_of(std::string(300'000, 'y')), take, 1'000);
    EXPECT_EQ(co_await std::move(reading), 20u);
    EXPECT_EQ(sizes, (std::vector<std::size_t>{4, 4, 4, 4, 4}));
  });
}

TEST_P(conformance_session, a_consumer_that_throws_ends_the_statement_and_not_the_session) {
  with_numbers([](database&, connection& c) -> task<> {
    co_await fill(c, 20'000);
    row_consumer take = [](const result&) -> task<void> {
      throw std::runtime_error("enough");
      co_return;
    };
    for (bool inside : {false, true}) {
      if (inside) {
        co_await c.begin();
        co_await insert(c, -1);
      }
      bool threw = false;
      try {
        task<std::uint64_t> reading = c.query_each("SELECT x FROM " + table(), {}, take, 10);
        co_await std::move(reading);
      } catch (const std::runtime_error&) {
        threw = true;
      }
      EXPECT_TRUE(threw);
      if (inside) co_await c.commit();
      EXPECT_EQ(c.state(), session_state::clean);
    }
    EXPECT_EQ(co_await stored(c), 20'001);
  });
}

TEST_P(conformance_session, failures_are_classed) {
  with_numbers([](database&, connection& c) -> task<> {
    co_await c.execute("INSERT INTO " + table() + "(id, x) VALUES (1, 1)");
    struct row {
      std::string sql;
      db_errc expected;
    };
    std::vector<row> cases = {
        {"INSERT INTO " + table() + "(id, x) VALUES (1, 2)", db_errc::constraint},
        {"INSERT INTO " + table() + "(x) VALUES (NULL)", db_errc::constraint},
        {"SELEC 1", db_errc::syntax},
        {"SELECT * FROM no_such_table", db_errc::syntax},
        {"SELECT no_such_column FROM " + table(), db_errc::syntax},
        {"", db_errc::syntax},
    };
    for (const row& one : cases) {
      task<std::optional<db_errc>> failing = failure_of(c.execute(one.sql));
      EXPECT_EQ(co_await std::move(failing), one.expected) << one.sql;
      EXPECT_EQ(c.state(), session_state::clean) << one.sql;
    }
    task<std::optional<db_errc>> failing =
        failure_of(c.execute("INSERT INTO " + table() + "(x) VALUES (?)", parameters_of("not a number")));
    std::optional<db_errc> errc = co_await std::move(failing);
    EXPECT_TRUE(errc == db_errc::data || errc == db_errc::constraint);
    EXPECT_EQ(co_await stored(c), 1);
  });
}

TEST_P(conformance_session, two_statements_in_one_text_are_refused) {
  with_numbers([](database&, connection& c) -> task<> {
    std::string both = "INSERT INTO " + table() + "(x) VALUES (1); DELETE FROM " + table();
    task<std::optional<db_errc>> failing = failure_of(c.execute(both));
    EXPECT_EQ(co_await std::move(failing), db_errc::syntax);
    EXPECT_EQ(co_await stored(c), 0);
  });
}

TEST_P(conformance_session, a_wrong_number_of_parameters_is_refused) {
  with_numbers([](database&, connection& c) -> task<> {
    for (int given : {0, 2}) {
      parameters values(static_cast<std::size_t>(given), value(std::int64_t{1}));
      task<std::optional<db_errc>> failing = failure_of(c.execute("INSERT INTO " + table() + "(x) VALUES (?)", values));
      EXPECT_EQ(co_await std::move(failing), db_errc::syntax);
    }
    co_await insert(c, 1);
  });
}

TEST_P(conformance_session, reset_takes_away_what_a_user_left) {
  if (is_sqlite()) GTEST_SKIP() << "SQLite's sessions keep their temporary tables";
  with_numbers([this](database&, connection& c) -> task<> {
    co_await c.begin();
    co_await insert(c, 1);
    co_await c.execute("CREATE TEMPORARY TABLE left_behind(x integer)");
    co_await c.execute(lock_timeout_setting());
    co_await c.reset();
    EXPECT_EQ(c.state(), session_state::clean);
    EXPECT_EQ(co_await stored(c), 0);
    task<std::optional<db_errc>> failing = failure_of(c.query("SELECT * FROM left_behind"));
    EXPECT_EQ(co_await std::move(failing), db_errc::syntax);
    std::string setting = is_postgresql() ? "SELECT current_setting('lock_timeout') = '0'"
                                          : "SELECT @@innodb_lock_wait_timeout = @@global.innodb_lock_wait_timeout";
    task<result> asking = c.query(setting);
    result r = co_await std::move(asking);
    EXPECT_TRUE(r.rows.at(0).at(0) == value(true) || r.rows.at(0).at(0) == value(std::int64_t{1}));
  });
}

TEST_P(conformance_session, a_table_is_prepared_once_by_many_at_the_same_time) {
  with_connection([](database& here, connection&) -> task<> {
    table_definition wanted = numbers();
    wanted.unique_key = {"x"};
    auto prepare = [&]() -> task<void> {
      task<std::unique_ptr<connection>> connecting = here.connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      for (int i = 0; i < 2; ++i) {
        task<void> preparing = c->prepare_table(wanted);
        co_await std::move(preparing);
      }
    };
    std::vector<task<void>> servers;
    for (int i = 0; i < 8; ++i) servers.push_back(prepare());
    task<void> all = gather(std::move(servers));
    co_await std::move(all);
  });
}

TEST_P(conformance_session, drift_is_named) {
  with_numbers([](database&, connection& c) -> task<> {
    table_definition wanted = numbers();
    wanted.columns.push_back({"missing", column_type::text, false});
    wanted.unique_key = {"x"};
    task<std::string> preparing = drift_of(c, wanted);
    std::string said = co_await std::move(preparing);
    for (const char* part : {"'missing'", "unique index on (x)"}) EXPECT_NE(said.find(part), std::string::npos) << said;
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

TEST_P(conformance_session, a_closed_session_is_dead) {
  with_connection([](database&, connection& c) -> task<> {
    co_await c.ping();
    c.close();
    c.close();
    EXPECT_EQ(c.state(), session_state::dead);
    task<std::optional<db_errc>> failing = failure_of(c.ping());
    EXPECT_EQ(co_await std::move(failing), db_errc::connection_lost);
    task<std::optional<db_errc>> failing_too = failure_of(c.query("SELECT 1"));
    EXPECT_EQ(co_await std::move(failing_too), db_errc::connection_lost);
  });
}

INSTANTIATE_TEST_SUITE_P(all, conformance_session, ::testing::ValuesIn(all_databases), name_of_tested);

}  // namespace
}  // namespace penstock::db
