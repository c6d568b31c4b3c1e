#include "database_fixture.h"
#include <penstock/db/transaction.h>
#include <penstock/testing/failure_point.h>

#include <string>
#include <vector>

namespace penstock::testing {
namespace {

TEST(failing_database, a_commit_lost_on_its_way_did_not_happen) {
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

TEST(failing_database, a_commit_whose_answer_is_lost_did_happen) {
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

TEST(failing_database, a_late_commit_holds_its_lock_until_it_happens) {
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

TEST(failing_database, each_class_of_error_can_be_scripted) {
  const db_errc classes[] = {db_errc::data,      db_errc::deadlock, db_errc::lock_timeout, db_errc::serialization,
                             db_errc::read_only, db_errc::full,     db_errc::auth,         db_errc::constraint};
  for (db_errc wanted : classes) {
    with_database([wanted](database& store) -> task<> {
      session c = co_await store.server().connect();
      co_await c->begin();
      once(store, "execute", fate::refused(wanted));
      std::optional<db_errc> code = co_await failure_of(insert(*c, "hat"));
      EXPECT_EQ(code, wanted);
      // One that was rolled back lasts until somebody ends it: what follows would be stored by itself.
      bool ended = wanted == db_errc::deadlock || wanted == db_errc::serialization;
      EXPECT_EQ(co_await failure_of(insert(*c, "cap")), ended ? std::optional(wanted) : std::nullopt);
      EXPECT_EQ(co_await failure_of(c->commit()), ended ? std::optional(wanted) : std::nullopt);
      EXPECT_EQ(c->state(), ended ? db::session_state::dirty : db::session_state::clean);
      co_await c->rollback();
      EXPECT_EQ(c->state(), db::session_state::clean);
      EXPECT_EQ(stored(store), ended ? 0 : 1);
    });
  }
}

TEST(failing_database, a_statement_that_is_never_answered_ends_when_the_client_gives_up) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    once(store, "query", fate::never());
    time_point start = scheduler::current().now();
    std::optional<db_errc> code = co_await failure_of(c->query("SELECT 1"));
    EXPECT_EQ(code, db_errc::connection_lost);
    EXPECT_GE(scheduler::current().now() - start, 30s);
  });
}

TEST(failing_database, a_slow_statement_takes_so_much_longer) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    once(store, "query", fate::done(7s));
    time_point start = scheduler::current().now();
    co_await c->query("SELECT 1");
    EXPECT_GE(scheduler::current().now() - start, 7s);
    EXPECT_LT(scheduler::current().now() - start, 8s);
  });
}

TEST(failing_database, a_restart_ends_all_sessions_and_refuses_connects_for_a_while) {
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

TEST(failing_database, a_read_only_database_is_read_and_not_written) {
  with_database([](database& store) -> task<> {
    session c = co_await store.server().connect();
    store.set_read_only(true);
    std::optional<db_errc> writing = co_await failure_of(insert(*c, "hat"));
    EXPECT_EQ(writing, db_errc::read_only);
    std::optional<db_errc> reading = co_await failure_of(c->query("SELECT name FROM item"));
    EXPECT_EQ(reading, std::nullopt);
    reading = co_await failure_of(c->query("/* why */ select name from item"));
    EXPECT_EQ(reading, std::nullopt);
    writing = co_await failure_of(c->execute("WITH x AS (SELECT 'cap' AS n) INSERT INTO item (name) SELECT n FROM x"));
    EXPECT_EQ(writing, db_errc::read_only);
    store.set_read_only(false);
    co_await insert(*c, "hat");
    EXPECT_EQ(stored(store), 1);
  });
}

TEST(failing_database, takes_so_many_sessions_and_no_more) {
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

TEST(failing_database, a_seed_gives_the_same_history_again_and_another_one_another) {
  EXPECT_EQ(history(7, many), history(7, many));
  EXPECT_NE(history(7, many), history(8, many));
}

TEST(failing_database, every_kind_of_fault_shows_and_none_when_switched_off) {
  std::string all;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) all += history(seed, many);
  for (const char* code : {"db.connection_lost", "db.ambiguous_commit", "db.deadlock", "db.lock_timeout",
                           "db.serialization", "db.full", "db.too_many_connections", "db.read_only"})
    EXPECT_NE(all.find(code), std::string::npos) << code;
  EXPECT_EQ(history(1, many, {"all"}), history(1, {}));
  EXPECT_EQ(history(1, {}).find("db."), std::string::npos);
  EXPECT_EQ(history(1, many, {"database.full"}).find("db.full"), std::string::npos);
}

TEST(failing_database, each_operation_can_be_chosen_to_fail) {
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
