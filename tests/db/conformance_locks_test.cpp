#include "conformance_numbers.h"
#include <penstock/async/cancel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/yield.h>

#include <vector>

// Sessions that wait for one another, the same on every database.

namespace penstock::db {
namespace {

class conformance_locks : public conformance_numbers {
 protected:
  // In seconds, as the server has it.
  task<std::string> lock_bound(connection& c) const {
    std::string asking_for = is_postgresql()
                                 ? "SELECT (setting::bigint / 1000)::text FROM pg_settings WHERE name = 'lock_timeout'"
                                 : "SELECT CONCAT(@@innodb_lock_wait_timeout, '')";
    task<result> asking = c.query(asking_for);
    result r = co_await std::move(asking);
    co_return std::get<std::string>(r.rows.at(0).at(0));
  }
};

TEST_P(conformance_locks, the_victim_of_a_deadlock_is_told_and_retried) {
  if (is_sqlite()) GTEST_SKIP() << "SQLite has one lock, so no deadlock";
  with_numbers([](database& here, connection& c) -> task<> {
    co_await fill(c, 2);
    // Without it MariaDB 11.8 waits for each locked row that it passes.
    co_await c.execute("CREATE UNIQUE INDEX by_x ON " + table() + " (x)");
    task<std::unique_ptr<connection>> connecting = here.connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    int attempts = 0;
    int holding = 0;
    event both_hold_one;
    auto move_between = [&](connection& session, std::int64_t from, std::int64_t to) -> task<void> {
      auto body = [&, from, to](connection& inside) -> task<void> {
        ++attempts;
        std::string sql = "UPDATE " + table() + " SET x = x WHERE x = ?";
        task<std::uint64_t> first = inside.execute(sql, parameters_of(from));
        co_await std::move(first);
        if (++holding == 2) both_hold_one.set();
        co_await both_hold_one.wait();
        task<std::uint64_t> second = inside.execute(sql, parameters_of(to));
        co_await std::move(second);
      };
      task<void> running = transaction(session, body);
      co_await std::move(running);
    };
    std::vector<task<void>> both;
    both.push_back(move_between(c, 0, 1));
    both.push_back(move_between(*other, 1, 0));
    task<std::vector<penstock::outcome<void>>> all = gather_settled(std::move(both));
    std::vector<penstock::outcome<void>> ended = co_await std::move(all);
    for (auto& one : ended) EXPECT_TRUE(one.has_value());
    EXPECT_GE(attempts, 3);
  });
}

// Had one been told that it has its locks, it would go on outside its transaction, which the server has rolled back.
TEST_P(conformance_locks, a_deadlock_met_by_a_query_whose_rows_nobody_wants_is_told) {
  if (is_sqlite()) GTEST_SKIP() << "SQLite has one lock, so no deadlock";
  with_numbers([](database& here, connection& c) -> task<> {
    co_await c.execute("INSERT INTO " + table() + "(id, x) VALUES (1, 100), (2, 100)");
    task<std::unique_ptr<connection>> connecting = here.connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    int holding = 0;
    event both_hold_one;
    auto transfer = [&](connection& session, int from, int to, std::string order) -> task<void> {
      auto body = [&, from, to, order](connection& inside) -> task<void> {
        co_await inside.execute("UPDATE " + table() + " SET x = x - 10 WHERE id = ?", parameters_of(from));
        if (++holding == 2) both_hold_one.set();
        co_await both_hold_one.wait();
        co_await inside.execute("SELECT x FROM " + table() + " WHERE id > 0 ORDER BY id " + order + " FOR UPDATE");
        co_await inside.execute("UPDATE " + table() + " SET x = x + 10 WHERE id = ?", parameters_of(to));
      };
      task<void> running = transaction(session, body);
      co_await std::move(running);
    };
    task<void> there = transfer(c, 1, 2, "ASC");
    task<void> back = transfer(*other, 2, 1, "DESC");
    auto both = gather(std::move(there), std::move(back));
    co_await std::move(both);
    EXPECT_GE(holding, 3);
    task<result> asking = c.query("SELECT x FROM " + table() + " WHERE x = 100");
    EXPECT_EQ((co_await std::move(asking)).rows.size(), 2u);
  });
}

TEST_P(conformance_locks, a_lock_held_for_too_long_is_told_as_such) {
  if (is_sqlite()) GTEST_SKIP() << "see sqlite_interrupt: SQLite's limit is in the URL";
  with_numbers([this](database& here, connection& c) -> task<> {
    co_await fill(c, 1);
    task<std::unique_ptr<connection>> connecting = here.connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await other->execute(lock_timeout_setting());
    co_await c.begin();
    co_await c.execute("UPDATE " + table() + " SET x = 7");
    task<std::optional<db_errc>> failing = failure_of(other->execute("UPDATE " + table() + " SET x = 8"));
    EXPECT_EQ(co_await std::move(failing), db_errc::lock_timeout);
    co_await c.rollback();
    EXPECT_NE(other->state(), session_state::dead);
  });
}

TEST_P(conformance_locks, waits_for_locks_no_longer_than_it_is_told) {
  if (is_sqlite()) GTEST_SKIP() << "see sqlite_interrupt: SQLite's limit is in the URL";
  with_numbers([this](database& here, connection& c) -> task<> {
    co_await fill(c, 1);
    task<std::unique_ptr<connection>> connecting = here.connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await other->limit_lock_waits(10ms);
    co_await c.begin();
    co_await c.execute("UPDATE " + table() + " SET x = 7");
    task<std::optional<db_errc>> failing = failure_of(other->execute("UPDATE " + table() + " SET x = 8"));
    EXPECT_EQ(co_await std::move(failing), db_errc::lock_timeout);
    co_await c.rollback();
    co_await other->begin();
    co_await insert(*other, 9);
    task<std::optional<db_errc>> refusing = failure_of(other->limit_lock_waits(1s));
    EXPECT_EQ(co_await std::move(refusing), db_errc::other);
    co_await other->rollback();
    co_await c.begin();
    const std::string lock = is_postgresql() ? "LOCK TABLE " + table() : "LOCK TABLES " + table() + " WRITE";
    co_await c.execute(lock);
    task<std::optional<db_errc>> waiting = failure_of(insert(*other, 9));
    EXPECT_EQ(co_await std::move(waiting), db_errc::lock_timeout);
    co_await c.reset();
    EXPECT_FALSE(other->altered());
    co_await other->limit_lock_waits(1h);
    EXPECT_EQ(co_await lock_bound(*other), "3600");
    co_await other->reset();
    EXPECT_NE(co_await lock_bound(*other), "3600");
    co_await other->limit_lock_waits(1h);
    EXPECT_EQ(co_await lock_bound(*other), "3600");
  });
}

TEST_P(conformance_locks, waits_no_longer_than_it_is_told_after_a_statement_that_set_another_limit) {
  if (is_sqlite()) GTEST_SKIP() << "see sqlite_interrupt: SQLite's limit is in the URL";
  with_numbers([this](database&, connection& c) -> task<> {
    co_await c.limit_lock_waits(1h);
    co_await c.execute(lock_timeout_setting());
    EXPECT_NE(co_await lock_bound(c), "3600");
    co_await c.limit_lock_waits(1h);
    EXPECT_EQ(co_await lock_bound(c), "3600");
  });
}

// Else nobody would know what became of its rows.
TEST_P(conformance_locks, a_batch_of_its_own_that_waits_is_not_cut_short_by_a_cancellation) {
  if (is_sqlite()) GTEST_SKIP() << "see sqlite_lock_cancellation: SQLite's is, and stores nothing";
  with_numbers([this](database& here, connection& c) -> task<> {
    task<std::unique_ptr<connection>> connecting = here.connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    const table_definition wanted = numbers();
    row_batch rows(1);
    rows.add_integer(7);
    rows.commit_row();
    batch_report report;
    co_await other->insert_batch(wanted, rows, report);  // what is to be asked of the table is asked then
    if (is_postgresql()) co_await c.begin();
    const std::string lock = is_postgresql() ? "LOCK TABLE " + table() : "LOCK TABLES " + table() + " WRITE";
    co_await c.execute(lock);
    report.clear();
    cancel_scope scope;
    task_group group;
    group.start(scope.run(other->insert_batch(wanted, rows, report)));
    while (other->state() == session_state::clean) co_await yield();
    scope.cancel();
    co_await yield();
    co_await c.reset();
    task<void> ending = group.join();
    co_await std::move(ending);
    EXPECT_EQ(report.rows.at(0).what, row_outcome::status::stored);
    EXPECT_EQ(other->state(), session_state::clean);
    EXPECT_EQ(co_await stored(c), 2);
  });
}

INSTANTIATE_TEST_SUITE_P(all, conformance_locks, ::testing::ValuesIn(all_databases), name_of_tested);

}  // namespace
}  // namespace penstock::db
