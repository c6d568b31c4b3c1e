#include "database_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/db/pool.h>

#include <string>
#include <vector>

namespace penstock::testing {
namespace {

TEST(database, executes_real_sql_and_takes_its_time) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    time_point start = scheduler::current().now();
    co_await insert(*c, "hat");
    db::result found = co_await c->query("SELECT name FROM item WHERE name LIKE 'h%'");
    EXPECT_EQ(found.rows.size(), 1u);
    EXPECT_GE(scheduler::current().now() - start, 400us);
    EXPECT_LE(scheduler::current().now() - start, 4ms);
    std::optional<db_errc> twice = co_await failure_of(insert(*c, "hat"));
    EXPECT_EQ(twice, db_errc::constraint);
    std::optional<db_errc> wrong = co_await failure_of(c->query("SELEKT"));
    EXPECT_EQ(wrong, db_errc::syntax);
  });
}

TEST(database, what_is_not_committed_is_seen_by_nobody_and_gone_after_a_rollback) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    co_await c->begin();
    co_await insert(*c, "hat");
    EXPECT_EQ(c->state(), db::session_state::dirty);
    EXPECT_THROW(stored(store), db::database_error);
    co_await c->rollback();
    EXPECT_EQ(c->state(), db::session_state::clean);
    EXPECT_EQ(stored(store), 0);
  });
}

TEST(database, a_writer_waits_for_the_one_before_it) {
  with_database([](database& store) -> task<> {
    session first = co_await store.server().connect();
    session second = co_await store.server().connect();
    co_await first->begin();
    co_await insert(*first, "hat");
    auto commit_later = [&]() -> task<> {
      co_await sleep_for(3s);
      co_await first->commit();
    };
    time_point start = scheduler::current().now();
    co_await gather(commit_later(), insert(*second, "scarf"));
    EXPECT_GE(scheduler::current().now() - start, 3s);
    EXPECT_EQ(stored(store), 2);
  });
}

TEST(database, a_writer_that_waits_too_long_is_told_so) {
  with_database(
      [](database& store) -> task<> {
        session first = co_await store.server().connect();
        session second = co_await store.server().connect();
        co_await first->begin();
        std::optional<db_errc> code = co_await failure_of(insert(*second, "scarf"));
        EXPECT_EQ(code, db_errc::lock_timeout);
        EXPECT_EQ(second->state(), db::session_state::clean);
      },
      1, {.lock_timeout = 2s});
}

TEST(database, a_cancelled_statement_leaves_the_session_dirty_until_a_reset) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    once(store, "execute", fate::done(1h));
    try {
      co_await with_timeout(1s, insert(*c, "hat"));
    } catch (const timed_out&) {
    }
    EXPECT_EQ(c->state(), db::session_state::dirty);
    EXPECT_EQ(co_await failure_of(insert(*c, "cap")), db_errc::other);
    co_await c->reset();
    EXPECT_EQ(c->state(), db::session_state::clean);
    EXPECT_EQ(stored(store), 0);
  });
}

TEST(database, rows_are_handed_over_one_by_one_where_none_are_asked_for_at_a_time) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    std::vector<std::size_t> taken;
    db::row_consumer take = [&](const db::result& some) -> task<void> {
      taken.push_back(some.rows.size());
      co_return;
    };
    co_await c->query_each("SELECT 1 UNION SELECT 2", {}, take, 0);
    EXPECT_EQ(taken, (std::vector<std::size_t>{1, 1}));
  });
}

TEST(database, a_commit_is_not_cut_short_by_a_cancel) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    co_await c->begin();
    co_await insert(*c, "hat");
    once(store, "commit", fate::done(10s));
    co_await with_timeout(1s, c->commit());
    EXPECT_EQ(stored(store), 1);
  });
}

TEST(database, a_batch_says_what_became_of_each_row) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    db::batch_report report;
    db::row_batch first = named({"hat", "scarf"});
    co_await c->insert_batch(items(), first, report);
    db::row_batch second = named({"glove", "hat"});
    co_await c->insert_batch(items(), second, report);
    EXPECT_EQ(report.rows.at(0).what, db::row_outcome::status::stored);
    EXPECT_EQ(report.rows.at(1).what, db::row_outcome::status::duplicate);
    store.set_faults({.refuse_row = 1.0});
    db::row_batch third = named({"sock"});
    co_await c->insert_batch(items(), third, report);
    EXPECT_EQ(report.rows.at(0).what, db::row_outcome::status::refused);
    EXPECT_EQ(report.refusals.at(0).code, "db.data");
    EXPECT_EQ(stored(store), 3);
  });
}

TEST(database, a_pool_over_it_recovers_from_a_restart) {
  with_database([](database& store) -> task<> {
    auto body = [&](db::pool& p) -> task<> {
      {
        db::pool::lease c = co_await p.acquire();
        co_await insert(*c, "before");
      }
      store.restart(1s);
      co_await sleep_for(2s);
      db::pool::lease c = co_await p.acquire();
      co_await insert(*c, "after");
    };
    task<> pooled = db::with_pool(store.server(), {.min_size = 3}, body);
    co_await std::move(pooled);
    EXPECT_EQ(stored(store), 2);
    EXPECT_EQ(store.sessions(), 0u);
  });
}

TEST(database, processlist_shows_who_does_what) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    co_await c->begin();
    once(store, "execute", fate::done(1h));
    task_group group;
    group.start_background(insert(*c, "hat"));
    co_await sleep_for(1s);
    EXPECT_EQ(store.processlist(), "session 2, in a transaction, execute INSERT INTO item(name) VALUES (?), for 1s\n");
    co_await group.join();
  });
}

}  // namespace
}  // namespace penstock::testing
