#include "mariadb_batch.h"
#include <penstock/async/cancel.h>
#include <penstock/async/timeout.h>

#include <chrono>
#include <stdexcept>

// What a session keeps from one statement to the next, and from one user to the next.

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

class mariadb_session : public batch_test {
 protected:
  static constexpr std::size_t packet = std::size_t{1} << 20;
  static constexpr const char* insert_sql = "INSERT INTO doc(a, b) VALUES (?, ?)";

  // With a small packet, long values go in pieces, ahead of their statement.
  template <class Body>
  void with_small_packet(Body body) {
    auto main = [&]() -> task<> {
      task<std::unique_ptr<connection>> connecting =
          connect_believing([](auto& facts) { facts.max_packet = packet; }, url());
      std::unique_ptr<connection> c = co_await std::move(connecting);
      co_await c->execute("CREATE TABLE doc(id BIGINT AUTO_INCREMENT PRIMARY KEY, a LONGTEXT, b LONGTEXT)");
      task<void> running = body(*c);
      co_await std::move(running);
    };
    net::run(main());
  }

  static task<void> expect_last(connection& c, std::string a, std::string b) {
    task<result> asking = c.query("SELECT a, b FROM doc ORDER BY id DESC LIMIT 1");
    result r = co_await std::move(asking);
    EXPECT_TRUE(r.rows.at(0).at(0) == value(a));
    EXPECT_TRUE(r.rows.at(0).at(1) == value(b));
  }

  static task<std::optional<db_errc>> failure_to_commit(connection& c) {
    try {
      task<void> committing = c.commit();
      co_await std::move(committing);
    } catch (const database_error& e) {
      co_return e.errc();
    }
    co_return std::nullopt;
  }
};

TEST_F(mariadb_session, gives_nothing_of_a_statement_that_was_refused_to_the_next_one) {
  with_small_packet([&](connection& c) -> task<> {
    std::optional<db_errc> failed =
        co_await failure_of(c, insert_sql, parameters_of(std::string(packet / 2, 'x'), std::string(packet + 1, 'y')));
    EXPECT_EQ(failed, db_errc::data);
    co_await c.execute(insert_sql, parameters_of("a", "b"));
    task<void> checking = expect_last(c, "a", "b");
    co_await std::move(checking);
    // One that went in pieces is no hindrance to the next.
    std::string long_text(packet * 2 / 3, 'x');
    for (int round = 0; round < 2; ++round) {
      co_await c.execute(insert_sql, parameters_of(long_text, long_text));
      checking = expect_last(c, long_text, long_text);
      co_await std::move(checking);
      co_await c.execute(insert_sql, parameters_of("c", "d"));
      checking = expect_last(c, "c", "d");
      co_await std::move(checking);
    }
  });
}

// At 0, 1, 2 … ms, until one run is over before its cancel: so at many moments of the pieces.
// The server would take no more of the session, and the failure would be one to try again.
TEST_F(mariadb_session, refuses_a_statement_that_is_longer_than_a_packet_and_goes_on) {
  with_small_packet([&](connection& c) -> task<> {
    co_await c.begin();
    co_await c.execute(insert_sql, parameters_of("a", "b"));
    const std::string head = "SELECT LENGTH('";
    const std::string tail = "')";
    const std::size_t fits = packet - 2 - head.size() - tail.size();
    value length = co_await ask(c, head + std::string(fits, 'x') + tail);
    EXPECT_EQ(length, value(static_cast<std::int64_t>(fits)));
    std::string told;
    try {
      co_await c.query(head + std::string(fits + 1, 'x') + tail);
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::data);
      told = e.message();
    }
    EXPECT_NE(told.find("max_allowed_packet"), std::string::npos) << told;
    co_await c.commit();
    task<void> checking = expect_last(c, "a", "b");
    co_await std::move(checking);
  });
}

TEST_F(mariadb_session, gives_nothing_of_a_statement_that_was_cancelled_to_the_next_one) {
  with_small_packet([&](connection& c) -> task<> {
    parameters many(8, to_value(std::string(packet / 2, 'x')));
    std::string sql = insert_sql;
    for (int i = 1; i < 4; ++i) sql += ", (?, ?)";
    bool cut = true;
    for (int ms = 0; cut && ms < 1'000; ++ms) {
      co_await c.begin();
      cut = false;
      try {
        task<std::uint64_t> limited = with_timeout(std::chrono::milliseconds(ms), c.execute(sql, many));
        co_await std::move(limited);
      } catch (const timed_out&) {
        cut = true;
      }
      co_await c.rollback();
      co_await c.execute(sql, parameters(8, to_value("short")));
      value longest = co_await ask(c, "SELECT MAX(LENGTH(a) + LENGTH(b)) FROM doc");
      EXPECT_EQ(longest, value(std::int64_t{10})) << "cancelled at " << ms << " ms";
    }
    EXPECT_FALSE(cut);
  });
}

TEST_F(mariadb_session, tells_an_error_behind_the_first_rows_of_any_result_of_a_call) {
  with_session([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE numbers(n INT)");
    co_await c.execute("INSERT INTO numbers VALUES (1), (2), (3)");
    co_await c.execute("CREATE TABLE reached(n INT)");
    co_await c.execute(
        "CREATE FUNCTION bad_at(n INT, bad INT) RETURNS INT DETERMINISTIC BEGIN IF n = bad THEN SIGNAL SQLSTATE "
        "'45000' SET MESSAGE_TEXT = 'no such number'; END IF; RETURN n; END");
    co_await c.execute(
        "CREATE PROCEDURE show_twice(first INT, second INT) BEGIN SELECT bad_at(n, first) FROM numbers; SELECT n, "
        "bad_at(n, second) FROM numbers; INSERT INTO reached VALUES (1); END");
    for (auto [first, second] : {std::pair(3, 0), std::pair(0, 3), std::pair(0, 0)}) {
      std::optional<db_errc> expected;
      if (first + second > 0) expected = db_errc::constraint;
      for (bool wants_rows : {false, true}) {
        std::optional<db_errc> failed;
        try {
          if (wants_rows)
            co_await c.query("CALL show_twice(?, ?)", parameters_of(first, second));
          else
            co_await c.execute("CALL show_twice(?, ?)", parameters_of(first, second));
        } catch (const database_error& e) {
          failed = e.errc();
        }
        EXPECT_EQ(failed, expected) << first << ", " << second << (wants_rows ? ", rows" : "");
        EXPECT_EQ(c.state(), session_state::clean);
      }
    }
    task<result> asking = c.query("SELECT * FROM reached");
    EXPECT_EQ((co_await std::move(asking)).rows.size(), 2u);
  });
}

TEST_F(mariadb_session, takes_a_statement_again_whose_table_has_another_column_by_now) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INT)");
    co_await c.execute("INSERT INTO t VALUES (1)");
    const std::string sql = "SELECT * FROM t";
    co_await c.query(sql);
    task<std::unique_ptr<connection>> connecting = database(patient(url())).connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await other->execute("ALTER TABLE t ADD m INT DEFAULT 2");
    result r = co_await c.query(sql);
    EXPECT_EQ(r.rows.at(0).at(1), value(std::int64_t{2}));
    co_await c.begin();
    co_await other->execute("ALTER TABLE t ADD k INT DEFAULT 3");
    result inside = co_await c.query(sql);
    EXPECT_EQ(inside.rows.at(0).at(2), value(std::int64_t{3}));
    co_await c.rollback();
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

// It would have run when the library finds that it can't take its rows.
TEST_F(mariadb_session, runs_once_what_does_more_than_ask_whatever_columns_it_gives) {
  if (is_mysql()) GTEST_SKIP() << "MySQL has no RETURNING";
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INT)");
    co_await c.execute(
        "CREATE PROCEDURE show_some(many INT) BEGIN INSERT INTO t VALUES (many); IF many THEN SELECT 1, 2; ELSE SELECT "
        "1; END IF; END");
    for (int many : {0, 1, 0}) {
      result r = co_await c.query("CALL show_some(?)", parameters_of(many));
      EXPECT_EQ(r.columns.size(), many == 0 ? 1u : 2u);
    }
    const std::string sql = "INSERT INTO t(n) VALUES (7) RETURNING t.*";
    co_await c.query(sql);
    co_await c.execute("ALTER TABLE t ADD m INT DEFAULT 2");
    result r = co_await c.query(sql);
    EXPECT_EQ(r.columns.size(), 2u);
    EXPECT_EQ(co_await ask(c, "SELECT count(*) FROM t"), value(std::int64_t{5}));
  });
}

// The library learns of the columns of now from the answer, once.
TEST_F(mariadb_session, prepares_a_statement_anew_that_was_cut_short) {
  if (is_mysql()) GTEST_SKIP() << "MySQL has no RETURNING";
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(a INT PRIMARY KEY, b INT)");
    co_await c.execute("INSERT INTO t VALUES (1, 1000)");
    const std::string select = "SELECT * FROM t WHERE SLEEP(IF(@slow, 60, 0)) = 0";
    const std::string insert = "INSERT INTO t(a, b) SELECT 7 + SLEEP(IF(@slow, 60, 0)), 1 RETURNING t.*";
    for (const std::string& sql : {select, insert}) {
      co_await c.execute("SET @slow = 1");
      bool cut = false;
      try {
        task<result> limited = with_timeout(20ms, c.query(sql));
        co_await std::move(limited);
      } catch (const timed_out&) {
        cut = true;
      }
      EXPECT_TRUE(cut);
      co_await c.rollback();
      co_await c.execute("SET @slow = 0");
      co_await c.execute(sql == select ? "ALTER TABLE t MODIFY b INT FIRST" : "ALTER TABLE t ADD d INT");
      if (sql == insert) {
        result r = co_await c.query(sql);
        EXPECT_EQ(r.columns.size(), 3u);
        continue;
      }
      for (int times = 0; times < 2; ++times) {
        result r = co_await c.query(sql);
        EXPECT_EQ(r.columns, (std::vector<std::string>{"b", "a"}));
        EXPECT_EQ(r.rows.at(0).at(0), value(std::int64_t{1000}));
      }
    }
  });
}

TEST_F(mariadb_session, is_in_step_after_a_consumer_that_wants_no_more_of_a_call) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE PROCEDURE show_twice() BEGIN SELECT 1 UNION SELECT 2; SELECT 3; SELECT 4; END");
    row_consumer refuse = [](const result&) -> task<void> {
      throw std::runtime_error("no more");
      co_return;
    };
    for (bool inside : {false, true}) {
      if (inside) co_await c.begin();
      bool threw = false;
      try {
        co_await c.query_each("CALL show_twice()", {}, refuse, 1);
      } catch (const std::runtime_error&) {
        threw = true;
      }
      EXPECT_TRUE(threw);
      EXPECT_EQ(co_await ask(c, "SELECT 5"), value(std::int64_t{5}));
      if (inside) co_await c.rollback();
      EXPECT_EQ(c.state(), session_state::clean);
    }
  });
}

TEST_F(mariadb_session, names_columns_as_they_are_called_by_now) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(a INT, b INT)");
    const std::string sql = "SELECT * FROM t";
    co_await c.query(sql);
    co_await c.execute("ALTER TABLE t CHANGE a z INT");
    for (int times = 0; times < 3; ++times) {
      result r = co_await c.query(sql);
      EXPECT_EQ(r.columns, (std::vector<std::string>{"z", "b"}));
    }
  });
}

TEST_F(mariadb_session, runs_every_statement_in_the_database_that_was_chosen_last) {
  administer("CREATE DATABASE " + name_ + "_b");
  with_session([&](connection& c) -> task<> {
    const table_definition into{"t", "id", {{"n", column_type::integer}}, {}};
    const std::string count_sql = "SELECT count(*) FROM t";
    for (const std::string& database : {name_, name_ + "_b"}) {
      co_await c.execute("USE " + database);
      co_await c.execute("CREATE TABLE t(id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT)");
    }
    for (const std::string& database : {name_, name_ + "_b", name_}) {
      co_await c.execute("USE " + database);
      value before = co_await ask(c, count_sql);
      row_batch rows(1);
      for (int n = 0; n < 300; ++n) {
        rows.add_integer(n);
        rows.commit_row();
      }
      batch_report report;
      co_await c.insert_batch(into, rows, report);
      value there = co_await ask(c, "SELECT count(*) FROM " + database + ".t");
      EXPECT_EQ(there, value(std::get<std::int64_t>(before) + 300)) << database;
    }
  });
  administer("DROP DATABASE " + name_ + "_b");
}

TEST_F(mariadb_session, is_in_its_own_database_after_a_reset) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("USE information_schema");
    EXPECT_TRUE(c.altered());
    co_await c.reset();
    value chosen = co_await ask(c, "SELECT DATABASE()");
    EXPECT_EQ(chosen, value(name_));
  });
}

// As after a SET GLOBAL: a session that was made before it has the new setting from its reset on.
TEST_F(mariadb_session, learns_its_servers_settings_again_in_a_reset) {
  auto main = [&]() -> task<> {
    task<std::unique_ptr<connection>> connecting =
        connect_believing([](auto& facts) { facts.id_step = 7; }, url("bulk=values"));
    std::unique_ptr<connection> c = co_await std::move(connecting);
    co_await c->execute(table_sql());
    co_await c->reset();
    row_batch rows(3);
    add_good(rows, 3);
    batch_report report;
    co_await c->insert_batch(table, rows, report);
    task<void> checking = expect_stored(*c, rows, report);
    co_await std::move(checking);
  };
  net::run(main());
}

TEST_F(mariadb_session, commits_no_half_of_a_transaction_whose_deadlock_was_passed_over) {
  with_session([&](connection& c) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(patient(url())).connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    task<std::vector<std::optional<db_errc>>> meeting = deadlock(c, *other);
    std::vector<std::optional<db_errc>> failed = co_await std::move(meeting);
    connection& victim = failed[0] ? c : *other;
    connection& survivor = failed[0] ? *other : c;
    co_await survivor.rollback();
    std::optional<db_errc> later = co_await failure_of(victim, "INSERT INTO t VALUES (3, 0)");
    EXPECT_EQ(later, db_errc::deadlock);
    std::optional<db_errc> committing = co_await failure_to_commit(victim);
    EXPECT_EQ(committing, db_errc::deadlock);
    co_await victim.rollback();
    EXPECT_EQ(victim.state(), session_state::clean);
    value stored = co_await ask(victim, "SELECT COUNT(*) + SUM(n) FROM t");
    EXPECT_EQ(stored, value(std::int64_t{2}));
    co_await victim.begin();
    co_await victim.execute("INSERT INTO t VALUES (3, 0)");
    committing = co_await failure_to_commit(victim);
    EXPECT_EQ(committing, std::nullopt);
  });
}

TEST_F(mariadb_session, goes_on_after_a_lock_timeout_that_undid_its_statement_alone) {
  with_session([&](connection& c) -> task<> {
    value undoes_all = co_await ask(c, "SELECT @@innodb_rollback_on_timeout");
    if (undoes_all != value(std::int64_t{0})) co_return;
    co_await c.execute("CREATE TABLE t(id INT PRIMARY KEY)");
    co_await c.execute("INSERT INTO t VALUES (1)");
    task<std::unique_ptr<connection>> connecting = database(patient(url())).connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await other->begin();
    co_await other->query("SELECT * FROM t FOR UPDATE");
    co_await c.begin();
    co_await c.execute("INSERT INTO t VALUES (2)");
    std::optional<db_errc> failed = co_await failure_of(c, "SELECT * FROM t WHERE id = 1 FOR UPDATE NOWAIT");
    EXPECT_EQ(failed, db_errc::lock_timeout);
    co_await c.commit();
    co_await other->rollback();
    value count = co_await ask(c, "SELECT COUNT(*) FROM t");
    EXPECT_EQ(count, value(std::int64_t{2}));
  });
}

TEST_F(mariadb_session, commits_nothing_after_a_lock_timeout_that_may_have_undone_all) {
  auto main = [&]() -> task<> {
    task<std::unique_ptr<connection>> connecting =
        connect_believing([](auto& facts) { facts.rolls_back_on_timeout = true; }, patient(url()));
    std::unique_ptr<connection> c = co_await std::move(connecting);
    co_await c->execute("CREATE TABLE t(id INT PRIMARY KEY)");
    co_await c->execute("INSERT INTO t VALUES (1)");
    connecting = database(patient(url())).connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await other->begin();
    co_await other->query("SELECT * FROM t FOR UPDATE");
    co_await c->begin();
    co_await c->execute("INSERT INTO t VALUES (2)");
    std::optional<db_errc> failed = co_await failure_of(*c, "SELECT * FROM t WHERE id = 1 FOR UPDATE NOWAIT");
    EXPECT_EQ(failed, db_errc::lock_timeout);
    failed = co_await failure_to_commit(*c);
    EXPECT_EQ(failed, db_errc::lock_timeout);
    co_await c->rollback();
    co_await other->rollback();
    value count = co_await ask(*c, "SELECT COUNT(*) FROM t");
    EXPECT_EQ(count, value(std::int64_t{1}));
  };
  net::run(main());
}

}  // namespace
}  // namespace penstock::db
