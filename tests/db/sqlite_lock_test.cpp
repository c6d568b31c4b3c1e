#include "temporary_folder.h"
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/db/error.h>
#include <penstock/db/pool.h>
#include <penstock/db/transaction.h>
#include <penstock/net/event_loop.h>
#include <penstock/testing/simulation.h>

#include <optional>

#include <gtest/gtest.h>

// Sessions that wait for one another's locks. In virtual time, where statements take none; a second `database` of the
// same file stands for another process: its sessions wait in no common line.

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

task<std::int64_t> count(connection& c) {
  result r = co_await c.query("SELECT count(*) FROM t");
  co_return std::get<std::int64_t>(r.rows[0][0]);
}

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

// Runs `body(file, holder)` in virtual time on a file with the table t, two sessions open.
template <class Body>
void with_sessions(Body body) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    std::string url = folder.url("test.db");
    database file(url);
    std::unique_ptr<connection> holder = co_await file.connect();
    co_await holder->execute("CREATE TABLE t(x INTEGER)");
    task<void> running = body(file, *holder, url);
    co_await std::move(running);
  };
  penstock::testing::simulation sim;
  sim.run(main());
}

task<void> insert(connection& c, int x) {
  task<std::uint64_t> inserting = c.execute("INSERT INTO t VALUES (?)", parameters_of(x));
  co_await std::move(inserting);
}

task<void> insert_in_transaction(connection& c, int x) {
  co_await c.begin();
  co_await insert(c, x);
  co_await c.commit();
}

task<void> commit_after(duration pause, connection& c) {
  co_await sleep_for(pause);
  co_await c.commit();
}

// The class of the error that a task ends with.
template <class T>
task<std::optional<db_errc>> error_of(task<T> t) {
  try {
    co_await std::move(t);
  } catch (const database_error& e) {
    EXPECT_TRUE(e.is_transient()) << e.message();
    EXPECT_NE(e.message().find("test.db"), std::string::npos) << e.message();
    co_return e.errc();
  }
  co_return std::nullopt;
}

task<bool> is_cut_short(duration limit, task<void> t) {
  try {
    task<void> limited = with_timeout(limit, std::move(t));
    co_await std::move(limited);
  } catch (const timed_out&) {
    co_return true;
  }
  co_return false;
}

class stopwatch {
 public:
  duration elapsed() const { return scheduler::current().now() - start_; }

 private:
  time_point start_ = scheduler::current().now();
};

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

TEST(sqlite_lock, a_cancelled_waiter_is_gone_at_once_and_leaves_its_session_clean) {
  with_sessions([](database& file, connection& holder, const std::string&) -> task<> {
    std::unique_ptr<connection> first = co_await file.connect();
    std::unique_ptr<connection> second = co_await file.connect();
    std::unique_ptr<connection> third = co_await file.connect();
    co_await third->execute("BEGIN");  // takes no lock yet
    co_await holder.begin();
    stopwatch since_asked;
    std::vector<task<bool>> waiting;
    waiting.push_back(is_cut_short(40ms, insert_in_transaction(*first, 1)));
    waiting.push_back(is_cut_short(30ms, insert(*second, 2)));
    waiting.push_back(is_cut_short(20ms, insert(*third, 3)));
    for (bool cut : co_await gather(std::move(waiting))) EXPECT_TRUE(cut);
    EXPECT_LT(since_asked.elapsed(), 41ms);
    for (auto* c : {first.get(), second.get(), third.get()}) EXPECT_EQ(c->state(), session_state::clean);
    co_await holder.rollback();
    for (auto* c : {first.get(), second.get(), third.get()}) co_await insert_in_transaction(*c, 4);
    EXPECT_EQ(co_await count(holder), 3);
  });
}

TEST(sqlite_lock, the_first_in_the_line_leaves_its_place_to_the_next_when_it_is_cancelled) {
  with_sessions([](database& file, connection& holder, const std::string&) -> task<> {
    std::unique_ptr<connection> first = co_await file.connect();
    std::unique_ptr<connection> second = co_await file.connect();
    co_await holder.begin();
    stopwatch since_asked;
    task_group all;
    auto give_up = [&]() -> task<> {
      task<bool> waiting = is_cut_short(20ms, insert(*first, 1));
      EXPECT_TRUE(co_await std::move(waiting));
    };
    all.start(give_up());
    all.start(insert(*second, 2));
    all.start(commit_after(350ms, holder));
    co_await all.join();
    EXPECT_LT(since_asked.elapsed(), 360ms);
    EXPECT_EQ(co_await count(holder), 1);
  });
}

TEST(sqlite_lock, a_waiting_task_that_is_destroyed_leaves_the_line) {
  with_sessions([](database& file, connection& holder, const std::string&) -> task<> {
    std::unique_ptr<connection> first = co_await file.connect();
    std::unique_ptr<connection> second = co_await file.connect();
    co_await holder.begin();
    {
      task_group abandoned;  // not joined: its members are destroyed where they wait
      abandoned.start(insert(*first, 1));
      abandoned.start(insert(*second, 2));
      co_await sleep_for(10ms);
    }
    co_await holder.commit();
    stopwatch since_asked;
    co_await insert(*first, 3);
    EXPECT_LT(since_asked.elapsed(), 1ms);
    EXPECT_EQ(co_await count(holder), 1);
  });
}

TEST(sqlite_lock, a_closed_session_lets_go_of_it) {
  with_sessions([](database& file, connection& holder, const std::string&) -> task<> {
    std::unique_ptr<connection> other = co_await file.connect();
    co_await holder.begin();
    stopwatch since_asked;
    task_group all;
    all.start(insert(*other, 1));
    co_await sleep_for(350ms);
    holder.close();
    co_await all.join();
    EXPECT_LT(since_asked.elapsed(), 360ms);
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

TEST(sqlite_lock, is_not_waited_for_by_a_transaction_that_began_by_reading) {
  for (bool committed : {false, true}) {
    with_sessions([committed](database& file, connection& writer, const std::string&) -> task<> {
      std::unique_ptr<connection> reader = co_await file.connect();
      co_await reader->execute("BEGIN");
      EXPECT_EQ(co_await count(*reader), 0);
      co_await writer.begin();
      co_await insert(writer, 1);
      if (committed) co_await writer.commit();
      stopwatch since_asked;
      task<std::optional<db_errc>> refused = error_of(insert(*reader, 2));
      EXPECT_EQ(co_await std::move(refused), db_errc::serialization);
      EXPECT_LT(since_asked.elapsed(), 1ms);
      if (!committed) co_await writer.commit();
      co_await reader->rollback();
      co_await insert(*reader, 2);
      EXPECT_EQ(co_await count(writer), 2);
    });
  }
}

// Without WAL a reader is in the way of COMMIT. The driver always asks for WAL, so the reader is a session of another
// database that attaches the file.
template <class Body>
void with_reader(Body body) {
  with_sessions([&](database&, connection& c, const std::string& url) -> task<> {
    co_await c.query("PRAGMA journal_mode=DELETE");
    std::unique_ptr<connection> reader = co_await database(url + "-other").connect();
    co_await reader->execute("ATTACH ? AS file", parameters_of(url.substr(std::string("sqlite:").size())));
    co_await reader->execute("BEGIN");
    co_await reader->query("SELECT * FROM file.t");
    task<void> running = body(c, *reader);
    co_await std::move(running);
  });
}

TEST(sqlite_lock, a_commit_waits_for_readers_with_its_transaction_open) {
  with_reader([](connection& c, connection& reader) -> task<> {
    stopwatch since_asked;
    task_group both;
    both.start(insert_in_transaction(c, 1));
    both.start(commit_after(1s, reader));
    co_await both.join();
    EXPECT_GE(since_asked.elapsed(), 1s);
    EXPECT_EQ(co_await count(c), 1);
  });
}

TEST(sqlite_lock, a_commit_that_is_cancelled_while_it_waits_is_rolled_back) {
  with_reader([](connection& c, connection& reader) -> task<> {
    task<bool> cut = is_cut_short(10ms, insert_in_transaction(c, 1));
    EXPECT_TRUE(co_await std::move(cut));
    EXPECT_EQ(c.state(), session_state::clean);
    co_await reader.rollback();
    EXPECT_EQ(co_await count(c), 0);
  });
}

TEST(sqlite_lock, a_batch_whose_commit_waits_is_stored_once_or_not_at_all) {
  with_reader([](connection& c, connection& reader) -> task<> {
    table_definition table{"t", "", {{"x", column_type::integer, false}}, {}};
    row_batch rows(1);
    rows.add_integer(1);
    rows.commit_row();
    batch_report report;
    task<std::optional<db_errc>> refused = error_of(c.insert_batch(table, rows, report));
    EXPECT_EQ(co_await std::move(refused), db_errc::lock_timeout);
    EXPECT_TRUE(report.rows.empty());
    EXPECT_EQ(c.state(), session_state::clean);
    task_group both;
    both.start(c.insert_batch(table, rows, report));
    both.start(commit_after(1s, reader));
    co_await both.join();
    EXPECT_EQ(report.rows.size(), 1u);
    EXPECT_EQ(co_await count(c), 1);
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

TEST(sqlite_lock, a_reader_of_a_database_in_memory_waits_for_its_writer) {
  auto main = []() -> task<> {
    database memory("sqlite::memory:");
    std::unique_ptr<connection> writer = co_await memory.connect();
    co_await writer->execute("CREATE TABLE t(x INTEGER)");
    std::unique_ptr<connection> reader = co_await memory.connect();
    std::int64_t seen = -1;
    auto look = [&]() -> task<> { seen = co_await count(*reader); };
    co_await writer->begin();
    co_await insert(*writer, 1);
    task_group both;
    both.start(look());
    both.start(commit_after(1s, *writer));
    co_await both.join();
    EXPECT_EQ(seen, 1);
  };
  penstock::testing::simulation sim;
  sim.run(main());
}

}  // namespace
}  // namespace penstock::db
