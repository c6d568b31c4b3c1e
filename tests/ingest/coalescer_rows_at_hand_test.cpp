// Submissions that let others have a turn of the loop before they have added all that they have.

#include "coalescer_fixture.h"
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

namespace penstock::ingest {
namespace {

void add(submission& to) {
  db::row_batch& rows = to.rows();
  rows.add_text("x");
  rows.commit_row();
  to.row_added();
}

void count_none(const db::row_outcome&, const db::row_refusal*, const std::exception_ptr*) {}

// Adds rows, with a turn of the loop after each few.
task<void> submit_in_turns(coalescer& to, int rows) {
  submission s(to);
  {
    submission::more_at_hand more(s);
    for (int i = 0; i < rows; ++i) {
      while (s.should_wait()) {
        task<void> room = s.wait_for_room();
        co_await std::move(room);
        s.collect(count_none);
      }
      add(s);
      if (i % 3 == 2) co_await yield();
    }
  }
  co_await s.committed();
}

TEST(coalescer_rows_at_hand, are_committed_together_without_lingering) {
  fake_store store;
  with_coalescer(store, {.linger = 1s}, [&](coalescer& c) -> task<> {
    time_point start = scheduler::current().now();
    for (int i = 0; i < 5; ++i) {
      task<void> one = submit_in_turns(c, 100);
      co_await std::move(one);
    }
    EXPECT_EQ(store.batches.size(), 5u);
    EXPECT_EQ(scheduler::current().now() - start, 50ms);
  });
}

TEST(coalescer_rows_at_hand, of_clients_that_are_back_are_committed_together) {
  fake_store store;
  with_coalescer(store, {.linger = 1s}, [&](coalescer& c) -> task<> {
    auto client = [&](int rows) -> task<> {
      for (int round = 0; round < 10; ++round) {
        task<void> one = submit_in_turns(c, rows);
        co_await std::move(one);
      }
    };
    std::vector<task<>> clients;
    for (int i = 1; i <= 8; ++i) clients.push_back(client(20 * i));
    auto all = gather(std::move(clients));
    co_await std::move(all);
    // The first to be done goes first: nobody has been answered yet.
    EXPECT_LE(store.batches.size(), 12u);
  });
}

TEST(coalescer_rows_at_hand, are_waited_for_no_longer_than_the_linger) {
  fake_store store;
  with_coalescer(store, {.linger = 1s}, [&](coalescer& c) -> task<> {
    time_point start = scheduler::current().now();
    submission slow(c);
    submission::more_at_hand more(slow);
    add(slow);
    co_await sleep_for(900ms);
    add(slow);
    co_await slow.committed();
    EXPECT_EQ(scheduler::current().now() - start, 1s + 10ms);
  });
}

TEST(coalescer_rows_at_hand, are_not_waited_for_once_their_submission_is_cancelled) {
  fake_store store;
  with_coalescer(store, {.linger = 1h}, [&](coalescer& c) -> task<> {
    auto client = [&]() -> task<> {
      submission s(c);
      submission::more_at_hand more(s);
      add(s);
      co_await sleep_for(30min);
    };
    EXPECT_THROW(co_await with_timeout(1s, client()), timed_out);
    co_await sleep_for(20ms);
    EXPECT_EQ(store.batches.size(), 1u);
    task<void> next = submit_in_turns(c, 10);
    co_await std::move(next);
    EXPECT_EQ(store.batches.size(), 2u);
  });
}

TEST(coalescer_rows_at_hand, do_not_keep_what_is_there_waiting_while_they_wait_for_room) {
  fake_store store;
  with_coalescer(store, {.linger = 1h, .queue_rows = 10}, [&](coalescer& c) -> task<> {
    time_point start = scheduler::current().now();
    task<void> one = submit_in_turns(c, 25);
    co_await std::move(one);
    EXPECT_EQ(scheduler::current().now() - start, 30ms);
  });
}

TEST(coalescer_rows_at_hand, of_one_submission_do_not_hold_up_as_many_others_as_are_awaited) {
  fake_store store;
  with_coalescer(store, {.linger = 1h}, [&](coalescer& c) -> task<> {
    submission slow(c);
    submission::more_at_hand more(slow);
    add(slow);
    co_await submit(c, items("quick"));
    EXPECT_EQ(store.batches.size(), 1u);
    EXPECT_EQ(store.batches[0].size(), 2u);
  });
}

}  // namespace
}  // namespace penstock::ingest
