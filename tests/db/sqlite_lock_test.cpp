#include "sqlite_lock_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/db/pool.h>
#include <penstock/db/transaction.h>
#include <penstock/net/event_loop.h>

// Who waits for a lock, in which order, and for how long.

namespace penstock::db {
namespace {

task<void> write_thrice(pool& p, int id) {
  pool::lease lease = co_await p.acquire();
  auto body = [id](connection& c) -> task<> {
    for (int i = 0; i < 3; ++i) co_await c.execute("INSERT INTO t VALUES (?)", parameters_of(id));
  };
  task<void> writing = transaction(*lease, body, {.max_attempts = 1});
  co_await std::move(writing);
}

TEST(sqlite_lock, more_writing_transactions_than_workers_all_get_their_turn) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    pool p(database(folder.url("test.db")), {.max_size = 20});
    {
      pool::lease c = co_await p.acquire();
      co_await c->execute("CREATE TABLE t(x INTEGER)");
    }
    std::vector<task<void>> users;
    for (int i = 0; i < 20; ++i) users.push_back(write_thrice(p, i));
    co_await gather(std::move(users));  // a lock_timeout would end it
    pool::lease c = co_await p.acquire();
    EXPECT_EQ(co_await count(*c), 60);
    c.release();
    co_await p.close();
  };
  net::run(main(), {.worker_threads = 4});
}

TEST(sqlite_lock, is_handed_over_in_the_order_of_asking_as_soon_as_it_is_free) {
  with_sessions([](database& file, connection& holder, const std::string&) -> task<> {
    co_await holder.begin();
    std::vector<std::unique_ptr<connection>> sessions;
    for (int i = 0; i < 8; ++i) sessions.push_back(co_await file.connect());
    stopwatch since_asked;
    task_group waiters;
    for (int i = 0; i < 8; ++i)
      waiters.start(i % 2 == 0 ? insert_in_transaction(*sessions[static_cast<std::size_t>(i)], i)
                               : insert(*sessions[static_cast<std::size_t>(i)], i));
    co_await commit_after(350ms, holder);  // between two looks, which come every 100 ms by now
    co_await waiters.join();
    EXPECT_LT(since_asked.elapsed(), 360ms);
    result r = co_await holder.query("SELECT group_concat(x) FROM t");
    EXPECT_EQ(std::get<std::string>(r.rows[0][0]), "0,1,2,3,4,5,6,7");
  });
}

TEST(sqlite_lock, a_session_that_writes_again_at_once_overtakes_nobody) {
  for (bool in_transaction : {true, false}) {
    with_sessions([in_transaction](database& file, connection& greedy, const std::string&) -> task<> {
      std::unique_ptr<connection> patient = co_await file.connect();
      co_await greedy.begin();
      task_group waiter;
      waiter.start(insert_in_transaction(*patient, 1));
      co_await sleep_for(10ms);
      co_await greedy.commit();
      task<void> writing = in_transaction ? insert_in_transaction(greedy, 2) : insert(greedy, 2);
      co_await std::move(writing);
      co_await waiter.join();
      result r = co_await greedy.query("SELECT group_concat(x) FROM t");
      EXPECT_EQ(std::get<std::string>(r.rows[0][0]), "1,2");
    });
  }
}

TEST(sqlite_lock, that_another_process_lets_go_of_is_found_within_a_tenth_of_a_second) {
  with_sessions([](database&, connection& holder, const std::string& url) -> task<> {
    std::unique_ptr<connection> other = co_await database(url).connect();
    co_await holder.begin();
    stopwatch since_asked;
    task_group both;
    both.start(commit_after(1s, holder));
    both.start(insert(*other, 1));
    co_await both.join();
    EXPECT_GE(since_asked.elapsed(), 1s);
    EXPECT_LE(since_asked.elapsed(), 1'101ms);
  });
}

TEST(sqlite_lock, that_is_not_let_go_of_ends_every_wait_with_lock_timeout_after_busy_timeout) {
  with_sessions([](database& file, connection& holder, const std::string& url) -> task<> {
    database elsewhere(url);
    std::vector<std::unique_ptr<connection>> sessions;
    for (int i = 0; i < 3; ++i) sessions.push_back(co_await file.connect());
    sessions.push_back(co_await elsewhere.connect());
    co_await holder.begin();
    stopwatch since_asked;
    std::vector<task<std::optional<db_errc>>> waiting;
    for (auto& c : sessions) waiting.push_back(error_of(insert_in_transaction(*c, 1)));
    for (const auto& errc : co_await gather(std::move(waiting))) EXPECT_EQ(errc, db_errc::lock_timeout);
    EXPECT_GE(since_asked.elapsed(), 5s);
    EXPECT_LE(since_asked.elapsed(), 5'001ms);
    co_await holder.rollback();
    for (auto& c : sessions) {
      EXPECT_EQ(c->state(), session_state::clean);
      co_await insert_in_transaction(*c, 1);
    }
  });
}

TEST(sqlite_lock, is_not_waited_for_when_busy_timeout_is_zero) {
  with_sessions([](database& file, connection& holder, const std::string& url) -> task<> {
    std::unique_ptr<connection> patient = co_await file.connect();
    std::unique_ptr<connection> hasty = co_await database(url + "?busy_timeout=0s").connect();
    co_await holder.begin();
    task_group others;
    others.start(insert(*patient, 1));
    stopwatch since_asked;
    task<std::optional<db_errc>> refused = error_of(hasty->begin());
    EXPECT_EQ(co_await std::move(refused), db_errc::lock_timeout);
    EXPECT_LT(since_asked.elapsed(), 1ms);
    co_await holder.commit();
    co_await others.join();
  });
}

TEST(sqlite_lock, a_batch_waits_for_it_too) {
  with_sessions([](database& file, connection& holder, const std::string&) -> task<> {
    std::unique_ptr<connection> other = co_await file.connect();
    table_definition table{"t", "", {{"x", column_type::integer, false}}, {}};
    row_batch rows(1);
    rows.add_integer(1);
    rows.commit_row();
    batch_report report;
    co_await holder.begin();
    task<bool> cut = is_cut_short(10ms, other->insert_batch(table, rows, report));
    EXPECT_TRUE(co_await std::move(cut));
    EXPECT_TRUE(report.rows.empty());
    EXPECT_EQ(other->state(), session_state::clean);
    task_group both;
    both.start(other->insert_batch(table, rows, report));
    both.start(commit_after(1s, holder));
    co_await both.join();
    EXPECT_EQ(report.rows.size(), 1u);
    EXPECT_EQ(co_await count(holder), 1);
  });
}

TEST(sqlite_lock, a_result_in_pieces_waits_for_it_and_hands_each_row_over_once) {
  with_sessions([](database& file, connection& holder, const std::string&) -> task<> {
    std::unique_ptr<connection> other = co_await file.connect();
    co_await holder.begin();
    std::vector<std::int64_t> taken;
    auto take = [&](const result& some) -> task<> {
      for (const auto& row : some.rows) taken.push_back(std::get<std::int64_t>(row[0]));
      co_return;
    };
    auto insert_three = [&]() -> task<> {
      row_consumer consumer = take;
      task<std::uint64_t> reading =
          other->query_each("INSERT INTO t VALUES (1), (2), (3) RETURNING x", {}, std::move(consumer), 1);
      EXPECT_EQ(co_await std::move(reading), 3u);
    };
    task_group both;
    both.start(insert_three());
    both.start(commit_after(1s, holder));
    co_await both.join();
    EXPECT_EQ(taken, (std::vector<std::int64_t>{1, 2, 3}));
    EXPECT_EQ(co_await count(holder), 3);
  });
}

TEST(sqlite_lock, opening_waits_for_it_or_says_so) {
  with_sessions([](database& file, connection& holder, const std::string&) -> task<> {
    co_await holder.query("PRAGMA journal_mode=DELETE");
    co_await holder.execute("BEGIN EXCLUSIVE");
    task<std::optional<db_errc>> refused = error_of(file.connect());
    EXPECT_EQ(co_await std::move(refused), db_errc::lock_timeout);
    task_group both;
    auto open_and_write = [&]() -> task<> {
      std::unique_ptr<connection> other = co_await file.connect();
      co_await insert(*other, 1);
    };
    both.start(open_and_write());
    both.start(commit_after(1s, holder));
    co_await both.join();
    EXPECT_EQ(co_await count(holder), 1);
  });
}

}  // namespace
}  // namespace penstock::db
