#include "sqlite_lock_fixture.h"
#include <penstock/async/gather.h>

// Waits for a lock that end before their time, and holders that go away.

namespace penstock::db {
namespace {

TEST(sqlite_lock_cancellation, a_cancelled_waiter_is_gone_at_once_and_leaves_no_part_of_a_transaction) {
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
    for (auto* c : {first.get(), second.get()}) EXPECT_EQ(c->state(), session_state::clean);
    EXPECT_EQ(third->state(), session_state::dirty);
    co_await holder.rollback();
    std::string told;
    try {
      co_await insert(*third, 5);
    } catch (const database_error& e) {
      told = e.message();
    }
    EXPECT_NE(told.find("the transaction was rolled back"), std::string::npos) << told;
    co_await third->rollback();
    for (auto* c : {first.get(), second.get(), third.get()}) co_await insert_in_transaction(*c, 4);
    EXPECT_EQ(co_await count(holder), 3);
  });
}

TEST(sqlite_lock_cancellation, the_first_in_the_line_leaves_its_place_to_the_next_when_it_is_cancelled) {
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

TEST(sqlite_lock_cancellation, a_waiting_task_that_is_destroyed_leaves_the_line) {
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

TEST(sqlite_lock_cancellation, a_closed_session_lets_go_of_it) {
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

}  // namespace
}  // namespace penstock::db
