#include "mariadb_server.h"
#include <penstock/async/cancel.h>
#include <penstock/async/timeout.h>
#include <penstock/db/row_batch.h>
#include <penstock/db/transaction.h>

#include <chrono>

// Statements that are cancelled, at any moment.

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

class mariadb_cancellation : public mariadb_test {
 protected:
  template <class T>
  static task<bool> cut_short(duration limit, task<T> work) {
    try {
      task<T> limited = with_timeout(limit, std::move(work));
      co_await std::move(limited);
    } catch (const timed_out&) {
      co_return true;
    }
    co_return false;
  }

  // True once no other session of this test's database runs anything; the server needs a moment to end one.
  static task<bool> all_idle(connection& c) {
    value busy;
    for (int tries = 0; tries < 200 && busy != value(std::int64_t{0}); ++tries) {
      task<value> asking = ask(c,
                               "SELECT count(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND "
                               "COMMAND <> 'Sleep' AND ID <> CONNECTION_ID() AND SLEEP(0.01) = 0");
      busy = co_await std::move(asking);
    }
    co_return busy == value(std::int64_t{0});
  }
};

TEST_F(mariadb_cancellation, of_a_long_statement_returns_at_once_and_a_reset_ends_it) {
  with_session([&](connection& c) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(patient(url())).connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    time_point before = scheduler::current().now();
    bool cut = co_await cut_short(100ms, other->query("SELECT SLEEP(600)", {}));
    EXPECT_TRUE(cut);
    EXPECT_LT(scheduler::current().now() - before, 5s);
    EXPECT_EQ(other->state(), session_state::dirty);
    std::optional<db_errc> refused = co_await failure_of(*other, "SELECT 1");
    EXPECT_EQ(refused, db_errc::other);
    co_await other->reset();
    EXPECT_EQ(other->state(), session_state::clean);
    value one = co_await ask(*other, "SELECT 1");
    EXPECT_EQ(one, value(std::int64_t{1}));
    bool idle = co_await all_idle(c);
    EXPECT_TRUE(idle);
  });
}

TEST_F(mariadb_cancellation, in_mid_transaction_rolls_it_back) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INT)");
    auto body = [](connection& inside) -> task<void> {
      co_await inside.execute("INSERT INTO t VALUES (1)");
      co_await inside.query("SELECT SLEEP(600)");
    };
    bool cut = co_await cut_short(200ms, transaction(c, body));
    EXPECT_TRUE(cut);
    EXPECT_EQ(c.state(), session_state::clean);
    value count = co_await ask(c, "SELECT count(*) FROM t");
    EXPECT_EQ(count, value(std::int64_t{0}));
  });
}

TEST_F(mariadb_cancellation, followed_by_a_reset_leaves_nothing_of_the_session_before) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INT)");
    co_await c.execute("CREATE TEMPORARY TABLE mine(n INT)");
    co_await c.execute("SET @mine = 1, sql_mode = '', time_zone = '+05:00'");
    co_await c.begin();
    co_await c.execute("INSERT INTO t VALUES (1)");
    bool cut = co_await cut_short(100ms, c.query("SELECT SLEEP(600)", {}));
    EXPECT_TRUE(cut);
    co_await c.reset();
    EXPECT_EQ(c.state(), session_state::clean);
    std::optional<db_errc> failed = co_await failure_of(c, "SELECT * FROM mine");
    EXPECT_EQ(failed, db_errc::syntax);
    result r = co_await c.query("SELECT @mine, @@time_zone, @@sql_mode LIKE '%ANSI_QUOTES%', count(*) FROM t");
    EXPECT_EQ(r.rows.at(0).at(0), value());
    EXPECT_EQ(r.rows.at(0).at(1), value("+00:00"));
    EXPECT_EQ(r.rows.at(0).at(2), value(std::int64_t{1}));
    EXPECT_EQ(r.rows.at(0).at(3), value(std::int64_t{0}));
  });
}

TEST_F(mariadb_cancellation, of_a_large_result_leaves_a_session_that_can_be_reset) {
  with_session([&](connection& c) -> task<> {
    auto take = [](const result&) -> task<void> { co_await sleep_for(1h); };
    bool cut = co_await cut_short(
        200ms, c.query_each("SELECT seq, repeat('x', 1000) FROM " + numbers(2'000'000), {}, take, 10));
    EXPECT_TRUE(cut);
    EXPECT_EQ(c.state(), session_state::dirty);
    co_await c.reset();
    EXPECT_EQ(c.state(), session_state::clean);
    value one = co_await ask(c, "SELECT 1");
    EXPECT_EQ(one, value(std::int64_t{1}));
  });
}

TEST_F(mariadb_cancellation, of_a_session_that_is_closed_lets_the_next_one_end_its_statement) {
  auto main = [&]() -> task<> {
    database here(patient(url()));
    {
      task<std::unique_ptr<connection>> connecting = here.connect();
      std::unique_ptr<connection> doomed = co_await std::move(connecting);
      bool cut = co_await cut_short(100ms, doomed->query("SELECT SLEEP(600)", {}));
      EXPECT_TRUE(cut);
    }
    task<std::unique_ptr<connection>> connecting = here.connect();
    std::unique_ptr<connection> next = co_await std::move(connecting);
    bool idle = co_await all_idle(*next);
    EXPECT_TRUE(idle);
  };
  net::run(main());
}

// At 0, 20, 40 … µs, until five in a row are over before their cancel, as one may be where the machine stands still:
// the server may have set them, and its answer is passed over.
TEST_F(mariadb_cancellation, of_a_change_of_characters_garbles_no_text) {
  auto main = [&]() -> task<> {
    database here(patient(url()));
    int cuts = 0;
    int over_before = 0;
    for (int n = 0; over_before < 5 && n < 5'000; ++n) {
      task<std::unique_ptr<connection>> connecting = here.connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      bool cut = co_await cut_short(std::chrono::microseconds(20 * n), c->execute("SET NAMES latin1", {}));
      over_before = cut ? 0 : over_before + 1;
      cuts += cut ? 1 : 0;
      co_await c->rollback();
      std::optional<db_errc> refused = co_await failure_of(*c, "SELECT 1");
      if (refused) {
        EXPECT_EQ(refused, db_errc::other);
        continue;
      }
      value letters = co_await ask(*c, "SELECT CHAR_LENGTH('ü')");
      EXPECT_EQ(letters, value(std::int64_t{1}));
    }
    EXPECT_EQ(over_before, 5);
    EXPECT_GT(cuts, 0);
  };
  net::run(main());
}

// At 0, 1, 2 … ms, until one run is over before its cancel: so at many moments of a batch.
TEST_F(mariadb_cancellation, of_a_batch_stores_all_of_it_or_nothing) {
  with_session([&](connection& c) -> task<> {
    table_definition table{"t", "id", {{"v", column_type::text}}, {}};
    co_await c.prepare_table(table);
    row_batch rows(1);
    for (int i = 0; i < 2'000; ++i) {
      rows.add_text(std::string(200, 'x'));
      rows.commit_row();
    }
    bool cut = true;
    std::int64_t stored = 0;
    for (int ms = 0; cut && ms < 1'000; ++ms) {
      auto body = [&](connection& inside) -> task<void> {
        batch_report report;
        task<void> inserting = inside.insert_rows(table, rows, report);
        co_await std::move(inserting);
      };
      cut = co_await cut_short(std::chrono::milliseconds(ms), transaction(c, body));
      if (c.state() == session_state::dirty) co_await c.reset();
      EXPECT_EQ(c.state(), session_state::clean);
      value count = co_await ask(c, "SELECT count(*) FROM t");
      EXPECT_TRUE(count == value(stored) || count == value(stored + 2'000)) << "cancelled at " << ms << " ms";
      stored = std::get<std::int64_t>(count);
    }
    EXPECT_FALSE(cut);
    EXPECT_GE(stored, 2'000);
  });
}

}  // namespace
}  // namespace penstock::db
