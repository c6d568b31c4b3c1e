#include "conformance_fixture.h"
#include "meddling_proxy.h"
#include <penstock/async/gather.h>
#include <penstock/db/pool.h>

#include <functional>
#include <iterator>
#include <vector>

#include <unistd.h>

// What ends nothing, and what goes on at a server though its session has ended.

namespace penstock::db {
namespace {

class conformance_closing : public conformance_test {
 protected:
  // The server tells nobody when a statement has begun or ended: it is asked again.
  task<bool> until_running(connection& watcher, const std::string& statement, std::int64_t wanted,
                           int most_tries = 1'000) {
    std::string running = is_postgresql() ? "pg_stat_activity WHERE state = 'active' AND query = '"
                                          : "information_schema.processlist WHERE info = '";
    running += statement + "'";
    if (is_mariadb()) running += " AND command <> 'Killed'";
    for (int tries = 0; tries < most_tries; ++tries) {
      task<std::int64_t> counting = count(watcher, running);
      std::int64_t found = co_await std::move(counting);
      if (found == wanted) co_return true;
      co_await sleep_for(10ms);
    }
    co_return false;
  }

  task<void> leave_running(database& db, connection& watcher, std::string statement, int sessions);
  void expect_running_behind_a_cut(int sessions, std::string cut_at, int left);
  static task<void> connect_and_close(database& db) {
    std::unique_ptr<connection> opened = co_await db.connect();
    opened->close();
  }
};

TEST_P(conformance_closing, a_commit_of_nothing_is_refused) {
  with_connection([](database&, connection& c) -> task<> {
    for (const char* what : {"before", "behind"}) {
      std::string code;
      try {
        co_await c.commit();
      } catch (const database_error& e) {
        code = e.code();
      }
      EXPECT_EQ(code, "db.other") << what << " a transaction";
      co_await c.begin();
      co_await c.commit();
    }
  });
}

TEST_P(conformance_closing, what_a_closed_session_ran_is_ended_when_the_next_one_is_opened) {
  if (is_sqlite()) GTEST_SKIP() << "there is no server that could go on";
  with_connection([this](database& db, connection& watcher) -> task<> {
    std::string marked = endless_query() + " /* left by " + std::to_string(::getpid()) + " */";
    std::unique_ptr<connection> left = co_await db.connect();
    auto ask = [&]() -> task<> { co_await left->query(marked); };
    auto close_when_it_runs = [&](task_group& group) -> task<> {
      group.start_background(ask());
      task<bool> waiting = until_running(watcher, marked, 1);
      bool runs = co_await std::move(waiting);
      EXPECT_TRUE(runs);
    };
    task<void> asking = with_task_group(close_when_it_runs);
    co_await std::move(asking);
    left->close();
    std::unique_ptr<connection> next = co_await db.connect();
    task<bool> waiting = until_running(watcher, marked, 0);
    bool ended = co_await std::move(waiting);
    EXPECT_TRUE(ended);
  });
}

// Closes so many sessions while each runs the statement.
task<void> conformance_closing::leave_running(database& db, connection& watcher, std::string statement, int sessions) {
  std::vector<std::unique_ptr<connection>> left;
  for (int i = 0; i < sessions; ++i) left.push_back(co_await db.connect());
  auto ask = [&](connection& c) -> task<> { co_await c.query(statement); };
  auto wait_until_they_run = [&](task_group& group) -> task<> {
    for (auto& session : left) group.start_background(ask(*session));
    task<bool> waiting = until_running(watcher, statement, sessions);
    EXPECT_TRUE(co_await std::move(waiting));
  };
  task<void> asking = with_task_group(wait_until_they_run);
  co_await std::move(asking);
  for (auto& session : left) session->close();
}

// Leaves sessions' statements running, has an opening cut short at this, and expects so many to run behind the next.
void conformance_closing::expect_running_behind_a_cut(int sessions, std::string cut_at, int left) {
  with_connection([&, this](database&, connection& watcher) -> task<> {
    auto body = [&](meddling_proxy& proxy, std::string by_way) -> task<> {
      std::string marked = endless_query() + " /* left by " + std::to_string(::getpid()) + ", again */";
      database db(by_way);
      task<void> leaving = leave_running(db, watcher, marked, sessions);
      co_await std::move(leaving);
      proxy.fall_silent_at(cut_at);
      std::optional<db_errc> cut = co_await failure_of(connect_and_close(db));
      EXPECT_TRUE(cut) << "the proxy did not see what it waits for";
      proxy.speak();
      std::unique_ptr<connection> next = co_await db.connect();
      // MariaDB looks every five seconds whether who made it sleep is still there.
      task<bool> waiting = until_running(watcher, marked, left, 200);
      EXPECT_TRUE(co_await std::move(waiting));
    };
    task<void> meddling = with_meddling_proxy(url() + "?connect_timeout=3s", body);
    co_await std::move(meddling);
  });
}

TEST_P(conformance_closing, what_an_opening_that_is_cut_short_did_not_end_the_next_one_ends) {
  if (is_sqlite()) GTEST_SKIP() << "there is no server that could go on";
  // What ends it: a question of who runs it, or a cancel request (PostgreSQL's manual, "Message Formats").
  expect_running_behind_a_cut(1, is_postgresql() ? "\x04\xd2\x16\x2e" : "PROCESSLIST", 0);
}

TEST_P(conformance_closing, an_opening_that_is_cut_short_as_it_ends_one_leaves_the_others_to_the_next) {
  if (!is_mariadb()) GTEST_SKIP() << "SQLite has no server; PostgreSQL ends each by a connection of its own";
  expect_running_behind_a_cut(2, "KILL", 1);
}

// What ended a task, by its stable code; empty where it came to its end.
task<std::string> code_of_end(task<void> t) {
  try {
    co_await std::move(t);
  } catch (const error& e) {
    co_return std::string(e.code());
  }
  co_return std::string();
}

// Closes the session once the operation is under way, and cancels this in the same turn or leaves it; gives what it
// ended with.
task<std::string> end_beside_close(connection& c, task<void> operation, task<bool> under_way, bool cancels) {
  cancel_scope scope;
  auto closes = [&]() -> task<> {
    bool is_under_way = co_await std::move(under_way);
    EXPECT_TRUE(is_under_way);
    c.close();
    if (cancels) scope.cancel("test");
  };
  task<std::string> running = code_of_end(scope.run(std::move(operation)));
  auto both = gather(std::move(running), closes());
  auto [code, closed] = co_await std::move(both);
  co_return code;
}

TEST_P(conformance_closing, close_ends_what_waits_for_the_server_beside_it_as_lost_or_cancelled) {
  if (is_sqlite()) GTEST_SKIP() << "there is no server that is waited for: a session that runs something is not closed";
  with_connection([this](database& db, connection& watcher) -> task<> {
    int closed = 0;
    std::string marked;
    auto ask = [&](connection& c) -> task<void> { co_await c.query(marked); };
    auto change = [&](connection& c) -> task<void> { co_await c.execute(marked); };
    auto read = [&](connection& c) -> task<void> {
      row_consumer none = [](const result&) -> task<void> { co_return; };
      co_await c.query_each(marked, {}, none);
    };
    std::function<task<void>(connection&)> operations[] = {ask, change, read};
    for (std::size_t i = 0; i < std::size(operations); ++i)
      for (bool in_transaction : {false, true})
        for (bool cancels : {false, true}) {
          task<std::unique_ptr<connection>> connecting = db.connect();
          std::unique_ptr<connection> c = co_await std::move(connecting);
          if (in_transaction) co_await c->begin();
          marked =
              endless_query() + " /* " + std::to_string(++closed) + " closed by " + std::to_string(::getpid()) + " */";
          task<bool> under_way = until_running(watcher, marked, 1);
          task<std::string> ending = end_beside_close(*c, operations[i](*c), std::move(under_way), cancels);
          std::string code = co_await std::move(ending);
          EXPECT_EQ(code, cancels ? "async.operation_cancelled" : "db.connection_lost")
              << "operation " << i << (in_transaction ? " in a transaction" : "");
          EXPECT_EQ(c->state(), session_state::dead);
          std::optional<db_errc> later = co_await failure_of(c->query("SELECT 1"));
          EXPECT_EQ(later, db_errc::connection_lost);
          c->close();
        }
  });
}

// What a service keeps in members is destroyed when its loop has ended.
TEST_P(conformance_closing, a_session_a_lease_and_a_pool_may_be_destroyed_after_their_loop) {
  std::unique_ptr<connection> session;
  std::unique_ptr<pool> sessions;
  pool::lease lent;
  std::unique_ptr<connection> cut_short;
  auto body = [&]() -> task<> {
    database here(url());
    task<std::unique_ptr<connection>> connecting = here.connect();
    session = co_await std::move(connecting);
    co_await session->query("SELECT 1");
    task<std::unique_ptr<connection>> connecting_again = here.connect();
    cut_short = co_await std::move(connecting_again);
    bool late = co_await times_out(50ms, cut_short->query(endless_query()));
    EXPECT_TRUE(late);
    sessions = std::make_unique<pool>(here, pool_options{.max_size = 2});
    auto acquiring = sessions->acquire();
    lent = co_await std::move(acquiring);
    auto acquiring_another = sessions->acquire();
    pool::lease another = co_await std::move(acquiring_another);
    co_await another->query("SELECT 1");
  };
  net::run(body());
  std::vector<std::string> reused;  // the memory that the loop has left
  for (std::size_t i = 0; i < 2'000; ++i) reused.emplace_back(50 + i % 700, '\x02');
  session.reset();
  cut_short.reset();
  sessions.reset();
  lent = pool::lease();
}

INSTANTIATE_TEST_SUITE_P(all, conformance_closing, ::testing::ValuesIn(all_databases), name_of_tested);

}  // namespace
}  // namespace penstock::db
