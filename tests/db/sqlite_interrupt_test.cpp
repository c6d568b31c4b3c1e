#include "temporary_folder.h"
#include <penstock/async/cancel.h>
#include <penstock/async/error.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/net/event_loop.h>

#include <gtest/gtest.h>

// Cancelling what runs on a worker thread; on the event loop, since the simulation has no threads.

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

// Counts to far more than anyone waits for.
constexpr const char* endless =
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n WHERE i < 0";

template <class Body>
void with_file(const std::string& options, Body body) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    database file(folder.url("test.db") + options);
    std::unique_ptr<connection> c = co_await file.connect();
    co_await c->execute("CREATE TABLE t(x INTEGER)");
    task<void> running = body(file, *c);
    co_await std::move(running);
  };
  net::run(main());
}

task<std::int64_t> count(connection& c) {
  result r = co_await c.query("SELECT count(*) FROM t");
  co_return std::get<std::int64_t>(r.rows[0][0]);
}

// True when the task was cut short by the limit.
template <class T>
task<bool> times_out(duration limit, task<T> t) {
  try {
    task<T> limited = with_timeout(limit, std::move(t));
    co_await std::move(limited);
  } catch (const timed_out&) {
    co_return true;
  }
  co_return false;
}

TEST(sqlite_interrupt, a_cancel_ends_a_query_that_runs) {
  with_file("", [](database&, connection& c) -> task<> {
    for (duration limit : {0ms, 1ms, 20ms}) {
      task<bool> cut = times_out(limit, c.query(endless));
      EXPECT_TRUE(co_await std::move(cut));
      EXPECT_EQ(c.state(), session_state::clean);
      EXPECT_EQ(co_await count(c), 0);
    }
  });
}

TEST(sqlite_interrupt, a_task_that_is_destroyed_ends_its_query_and_nobody_is_told) {
  int told = 0;
  auto previous = set_unhandled_error_handler([&](std::exception_ptr, std::string_view) { ++told; });
  with_file("", [](database&, connection& c) -> task<> {
    auto ask = [&]() -> task<> {
      task<result> asking = c.query(endless);
      co_await std::move(asking);
    };
    {
      task_group abandoned;
      abandoned.start(ask());
      co_await yield();
    }
    co_await yield();
  });
  set_unhandled_error_handler(previous);
  EXPECT_EQ(told, 0);
}

TEST(sqlite_interrupt, a_cancel_rolls_back_the_transaction_of_the_statement) {
  with_file("", [](database& file, connection& c) -> task<> {
    co_await c.begin();
    co_await c.execute("INSERT INTO t VALUES (1)");
    task<bool> cut = times_out(5ms, c.query(endless));
    EXPECT_TRUE(co_await std::move(cut));
    EXPECT_EQ(c.state(), session_state::dirty);
    std::unique_ptr<connection> other = co_await file.connect();
    co_await other->execute("INSERT INTO t VALUES (2)");  // the lock is free
    bool refused = false;
    try {
      co_await c.execute("INSERT INTO t VALUES (3)");  // it would be stored by itself
    } catch (const database_error&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
    std::string said;
    try {
      co_await c.commit();
    } catch (const database_error& e) {
      said = e.message();
    }
    EXPECT_NE(said.find("the transaction was rolled back"), std::string::npos) << said;
    co_await c.rollback();
    EXPECT_EQ(c.state(), session_state::clean);
    EXPECT_EQ(co_await count(c), 1);
  });
}

TEST(sqlite_interrupt, a_statement_that_was_done_before_the_cancel_keeps_its_result) {
  with_file("", [](database&, connection& c) -> task<> {
    cancel_scope scope;
    std::uint64_t changed = 0;
    auto insert = [&]() -> task<> { changed = co_await c.execute("INSERT INTO t VALUES (1)"); };
    task_group group;
    group.start(scope.run(insert()));
    co_await yield();
    scope.cancel();
    try {
      co_await group.join();
      EXPECT_EQ(changed, 1u);
      EXPECT_EQ(co_await count(c), 1);
    } catch (const operation_cancelled&) {
      changed = 2;
    }
    if (changed == 2) {
      EXPECT_EQ(co_await count(c), 0);
    }
  });
}

TEST(sqlite_interrupt, a_batch_that_is_cut_short_stores_nothing) {
  with_file("", [](database&, connection& c) -> task<> {
    table_definition table{"t", "", {{"x", column_type::integer, false}}, {}};
    row_batch rows(1);
    for (int i = 0; i < 20'000; ++i) {
      rows.add_integer(i);
      rows.commit_row();
    }
    batch_report report;
    const std::string slow =
        "CREATE TRIGGER slow BEFORE INSERT ON t WHEN new.x = 19999 BEGIN SELECT (" + std::string(endless) + "); END";
    co_await c.execute(slow);
    task<bool> cut = times_out(1ms, c.insert_batch(table, rows, report));
    EXPECT_TRUE(co_await std::move(cut));
    EXPECT_EQ(c.state(), session_state::clean);
    EXPECT_EQ(co_await count(c), 0);
    co_await c.execute("DROP TRIGGER slow");
    task<bool> cut_or_not = times_out(1ms, c.insert_batch(table, rows, report));  // it may be over before
    bool stores_all = !co_await std::move(cut_or_not);
    EXPECT_EQ(co_await count(c), stores_all ? 20'000 : 0);
    co_await c.execute("DELETE FROM t");
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.rows.size(), 20'000u);
    EXPECT_EQ(co_await count(c), 20'000);
  });
}

TEST(sqlite_interrupt, a_lock_held_elsewhere_gives_lock_timeout_after_busy_timeout) {
  with_file("?busy_timeout=30ms", [](database& file, connection& c) -> task<> {
    std::unique_ptr<connection> other = co_await file.connect();
    co_await other->begin();
    std::optional<db_errc> errc;
    try {
      co_await c.execute("INSERT INTO t VALUES (1)");
    } catch (const database_error& e) {
      errc = e.errc();
      EXPECT_TRUE(e.is_transient());
    }
    EXPECT_EQ(errc, db_errc::lock_timeout);
    EXPECT_EQ(c.state(), session_state::clean);
    co_await other->rollback();
    co_await c.execute("INSERT INTO t VALUES (1)");
  });
}

TEST(sqlite_interrupt, a_cancel_ends_the_wait_for_a_lock) {
  with_file("?busy_timeout=10m", [](database& file, connection& c) -> task<> {
    std::unique_ptr<connection> other = co_await file.connect();
    co_await other->begin();
    task<bool> cut = times_out(10ms, c.query("INSERT INTO t VALUES (1) RETURNING x"));
    EXPECT_TRUE(co_await std::move(cut));
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

}  // namespace
}  // namespace penstock::db
