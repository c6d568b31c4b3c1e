#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/db/error.h>
#include <penstock/db/pool.h>
#include <penstock/db/transaction.h>
#include <penstock/testing/database.h>
#include <penstock/testing/failure_point.h>
#include <penstock/testing/simulation.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;
using db::db_errc;
using session = std::unique_ptr<db::connection>;

const db::table_definition& items() {
  static const db::table_definition table = [] {
    db::table_definition t;
    t.name = "item";
    t.columns = {{"name", db::column_type::text, true}};
    t.unique_key = {"name"};
    return t;
  }();
  return table;
}

db::row_batch named(const std::vector<std::string>& names) {
  db::row_batch rows(1);
  for (const std::string& name : names) {
    rows.add_text(name);
    rows.commit_row();
  }
  return rows;
}

// Runs `body(database&)` over a database with the table; nothing may be left open at its end.
template <class Body>
void with_database(Body body, std::uint64_t seed = 1, const database_options& options = {}) {
  simulation sim({.seed = seed});
  database store(options);
  auto main = [&]() -> task<> {
    session c = co_await store.server().connect();
    co_await c->prepare_table(items());
    c->close();
    task<> running = body(store);
    co_await std::move(running);
  };
  sim.run(main());
  EXPECT_EQ(describe(sim.open_things().open()), "");
}

template <class T>
task<std::optional<db_errc>> failure_of(task<T> t) {
  try {
    static_cast<void>(co_await std::move(t));
  } catch (const db::database_error& e) {
    co_return std::optional<db_errc>(e.errc());
  }
  co_return std::nullopt;
}
task<std::optional<db_errc>> failure_of(task<void> t) {
  try {
    co_await std::move(t);
  } catch (const db::database_error& e) {
    co_return std::optional<db_errc>(e.errc());
  }
  co_return std::nullopt;
}

task<void> insert(db::connection& c, std::string name) {
  task<std::uint64_t> inserting = c.execute("INSERT INTO item(name) VALUES (?)", db::parameters_of(name));
  co_await std::move(inserting);
}

std::int64_t stored(const database& store) { return store.count("SELECT count(*) FROM item"); }

// The next statement of this kind gets this fate, and those after it none.
void once(database& store, std::string what, fate f) {
  auto waiting = std::make_shared<bool>(true);
  store.on_statement([=](const statement& s) {
    if (!*waiting || s.what != what) return fate::done();
    *waiting = false;
    return f;
  });
}

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

TEST(database, a_commit_lost_on_its_way_did_not_happen) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    co_await c->begin();
    co_await insert(*c, "hat");
    once(store, "commit", fate::lost());
    std::optional<db_errc> code = co_await failure_of(c->commit());
    EXPECT_EQ(code, db_errc::ambiguous_commit);
    EXPECT_EQ(c->state(), db::session_state::dead);
    co_await sleep_for(1s);
    EXPECT_EQ(stored(store), 0);
  });
}

TEST(database, a_commit_whose_answer_is_lost_did_happen) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    co_await c->begin();
    co_await insert(*c, "hat");
    once(store, "commit", fate::answer_lost());
    std::optional<db_errc> code = co_await failure_of(c->commit());
    EXPECT_EQ(code, db_errc::ambiguous_commit);
    EXPECT_EQ(stored(store), 1);
  });
}

TEST(database, a_late_commit_holds_its_lock_until_it_happens) {
  with_database([](database& store) -> task<> {
    session first = co_await store.server().connect();
    session second = co_await store.server().connect();
    co_await first->begin();
    co_await insert(*first, "hat");
    once(store, "commit", fate::carried_later());
    std::optional<db_errc> code = co_await failure_of(first->commit());
    EXPECT_EQ(code, db_errc::ambiguous_commit);
    EXPECT_THROW(stored(store), db::database_error);
    db::result seen = co_await second->query("SELECT name FROM item");
    EXPECT_EQ(seen.rows.size(), 1u);
  });
}

TEST(database, each_class_of_error_can_be_scripted) {
  const db_errc classes[] = {db_errc::data,      db_errc::deadlock, db_errc::lock_timeout, db_errc::serialization,
                             db_errc::read_only, db_errc::full,     db_errc::auth,         db_errc::constraint};
  for (db_errc wanted : classes) {
    with_database([wanted](database& store) -> task<> {
      session c = co_await store.server().connect();
      co_await c->begin();
      once(store, "execute", fate::refused(wanted));
      std::optional<db_errc> code = co_await failure_of(insert(*c, "hat"));
      EXPECT_EQ(code, wanted);
      bool ended = wanted == db_errc::deadlock || wanted == db_errc::serialization;
      EXPECT_EQ(c->state() == db::session_state::clean, ended);
      co_await c->rollback();
      EXPECT_EQ(stored(store), 0);
    });
  }
}

TEST(database, a_statement_that_is_never_answered_ends_when_the_client_gives_up) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    once(store, "query", fate::never());
    time_point start = scheduler::current().now();
    std::optional<db_errc> code = co_await failure_of(c->query("SELECT 1"));
    EXPECT_EQ(code, db_errc::connection_lost);
    EXPECT_GE(scheduler::current().now() - start, 30s);
  });
}

TEST(database, a_slow_statement_takes_so_much_longer) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    once(store, "query", fate::done(7s));
    time_point start = scheduler::current().now();
    co_await c->query("SELECT 1");
    EXPECT_GE(scheduler::current().now() - start, 7s);
    EXPECT_LT(scheduler::current().now() - start, 8s);
  });
}

TEST(database, a_restart_ends_all_sessions_and_refuses_connects_for_a_while) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    co_await c->begin();
    co_await insert(*c, "hat");
    store.restart(2s);
    EXPECT_EQ(stored(store), 0);
    std::optional<db_errc> lost = co_await failure_of(insert(*c, "scarf"));
    EXPECT_EQ(lost, db_errc::connection_lost);
    std::optional<db_errc> refused = co_await failure_of(store.server().connect());
    EXPECT_EQ(refused, db_errc::connection_lost);
    co_await sleep_for(2s);
    std::optional<db_errc> later = co_await failure_of(store.server().connect());
    EXPECT_EQ(later, std::nullopt);
  });
}

TEST(database, a_read_only_database_is_read_and_not_written) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    store.set_read_only(true);
    std::optional<db_errc> writing = co_await failure_of(insert(*c, "hat"));
    EXPECT_EQ(writing, db_errc::read_only);
    std::optional<db_errc> reading = co_await failure_of(c->query("SELECT name FROM item"));
    EXPECT_EQ(reading, std::nullopt);
    store.set_read_only(false);
    co_await insert(*c, "hat");
    EXPECT_EQ(stored(store), 1);
  });
}

TEST(database, takes_so_many_sessions_and_no_more) {
  with_database([](database& store) -> task<> {
    store.limit_sessions(1);
    session first = co_await store.server().connect();
    std::optional<db_errc> second = co_await failure_of(store.server().connect());
    EXPECT_EQ(second, db_errc::too_many_connections);
    first->close();
    session third = co_await store.server().connect();
    EXPECT_EQ(store.sessions(), 1u);
  });
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
    co_await c->reset();
    EXPECT_EQ(c->state(), db::session_state::clean);
    EXPECT_EQ(stored(store), 0);
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

// What became of many small transactions under faults, as text.
std::string history(std::uint64_t seed, const database_faults& faults, std::vector<std::string> off = {}) {
  simulation sim({.seed = seed, .faults_off = std::move(off)});
  database store;
  std::string log;
  auto main = [&]() -> task<> {
    session c = co_await store.server().connect();
    co_await c->prepare_table(items());
    store.set_faults(faults);
    for (int i = 0; i < 200; ++i) {
      try {
        if (c->state() == db::session_state::dead) c = co_await store.server().connect();
        std::string name = std::to_string(i);
        auto adding = [&](db::connection& open) { return insert(open, name); };
        co_await db::transaction(*c, adding, {.max_attempts = 1});
        log += name + " stored";
      } catch (const db::database_error& e) {
        log += std::to_string(i) + " " + std::string(e.code());
      }
      log += " at " + std::to_string(sim.elapsed().count()) + "\n";
    }
    store.heal();
    co_await sleep_for(1s);
    log += std::to_string(stored(store)) + " rows";
  };
  sim.run(main());
  return log;
}

constexpr database_faults many{.lose = 0.02,
                               .lose_answer = 0.02,
                               .lose_commit = 0.05,
                               .late_commit = 0.05,
                               .deadlock = 0.05,
                               .lock_timeout = 0.05,
                               .serialization = 0.05,
                               .full = 0.05,
                               .slow = 0.1,
                               .refuse_connect = 0.2,
                               .restart_every = 500ms,
                               .restart_for = 10ms,
                               .read_only_every = 300ms,
                               .read_only_for = 100ms};

TEST(database, a_seed_gives_the_same_history_again_and_another_one_another) {
  EXPECT_EQ(history(7, many), history(7, many));
  EXPECT_NE(history(7, many), history(8, many));
}

TEST(database, every_kind_of_fault_shows_and_none_when_switched_off) {
  std::string all;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) all += history(seed, many);
  for (const char* code : {"db.connection_lost", "db.ambiguous_commit", "db.deadlock", "db.lock_timeout",
                           "db.serialization", "db.full", "db.too_many_connections", "db.read_only"})
    EXPECT_NE(all.find(code), std::string::npos) << code;
  EXPECT_EQ(history(1, many, {"all"}), history(1, {}));
  EXPECT_EQ(history(1, {}).find("db."), std::string::npos);
  EXPECT_EQ(history(1, many, {"database.full"}).find("db.full"), std::string::npos);
}

TEST(database, each_operation_can_be_chosen_to_fail) {
  std::vector<std::string> failed;
  for (std::size_t k = 0;; ++k) {
    failure_plan plan(k);
    simulation sim;
    database store;
    bool told = false;
    auto main = [&]() -> task<> {
      session c = co_await store.server().connect();
      co_await c->prepare_table(items());
      co_await c->begin();
      co_await insert(*c, "hat");
      co_await c->commit();
    };
    try {
      sim.run(main());
    } catch (const db::database_error& e) {
      told = true;
      EXPECT_EQ(e.errc() == db_errc::ambiguous_commit, plan.failed()->starts_with("database.commit")) << *plan.failed();
    }
    EXPECT_EQ(describe(sim.open_things().open()), "");
    if (!plan.failed()) break;
    EXPECT_TRUE(told);
    failed.push_back(*plan.failed());
  }
  EXPECT_EQ(failed, (std::vector<std::string>{"database.connect", "database.prepare", "database.begin",
                                              "database.execute", "database.commit", "database.commit answer"}));
}

}  // namespace
}  // namespace penstock::testing
