// What a coalescer counts and bounds.

#include "coalescer_fixture.h"
#include "ingest/keyed_request.h"
#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/ingest/error.h>

namespace penstock::ingest {
namespace {

void hold(submission& s, std::vector<std::string> list) {
  for (const std::string& item : list) {
    db::row_batch& rows = s.rows();
    rows.add_text(item);
    rows.commit_row();
    s.row_added();
  }
}

TEST(coalescer_queue, rows_that_are_held_go_into_one_batch_however_full_the_open_one_is) {
  fake_store store;
  with_coalescer(store, {.max_rows = 4}, [&](coalescer& c) -> task<> {
    submission together(c, submission::in_one_batch{});
    hold(together, items("b1", "b2", "b3"));
    auto single = submit(c, items("a1", "a2"));
    auto joining = [&]() -> task<> {
      together.join(std::make_shared<keyed_request>());
      co_await together.committed();
    };
    auto both = gather(std::move(single), joining());
    co_await std::move(both);
    EXPECT_EQ(store.batches, (std::vector<std::vector<std::string>>{items("a1", "a2"), items("b1", "b2", "b3")}));
  });
}

TEST(coalescer_queue, rows_that_are_held_share_a_batch_that_has_room) {
  fake_store store;
  with_coalescer(store, {}, [&](coalescer& c) -> task<> {
    submission together(c, submission::in_one_batch{});
    hold(together, items("b1", "b2"));
    auto single = submit(c, items("a1"));
    auto joining = [&]() -> task<> {
      together.join(std::make_shared<keyed_request>());
      co_await together.committed();
    };
    auto both = gather(std::move(single), joining());
    co_await std::move(both);
    EXPECT_EQ(store.batches, (std::vector<std::vector<std::string>>{items("a1", "b1", "b2")}));
  });
}

TEST(coalescer_queue, rows_share_a_batch_only_as_long_as_their_answers_fit_too) {
  fake_store store;
  with_coalescer(store, {.max_bytes = 1'000}, [&](coalescer& c) -> task<> {
    auto one = [&](const char* name, std::size_t answer_bytes) -> task<> {
      submission together(c, submission::in_one_batch{});
      hold(together, items(name));
      together.join(std::make_shared<keyed_request>(), answer_bytes);
      co_await together.committed();
    };
    auto all = gather(one("a", 400), one("b", 400), one("c", 400), one("d", 5'000));
    co_await std::move(all);
    EXPECT_EQ(store.batches, (std::vector<std::vector<std::string>>{items("a", "b"), items("c"), items("d")}));
  });
}

TEST(coalescer_queue, rows_that_are_held_count_as_waiting_until_they_are_dropped) {
  fake_store store;
  with_coalescer(store, {.max_rows = 4, .queue_rows = 6}, [&](coalescer& c) -> task<> {
    {
      submission one(c, submission::in_one_batch{});
      submission other(c, submission::in_one_batch{});
      hold(one, items("1", "2", "3", "4"));
      EXPECT_THROW(hold(one, items("5")), error) << "more than a batch holds";
      EXPECT_THROW(hold(other, items("6")), error) << "the queue is full";
      EXPECT_TRUE(c.full());
    }
    EXPECT_FALSE(c.full());
    co_return;
  });
}

TEST(coalescer_queue, rows_whose_cells_are_added_one_by_one_are_counted_whole) {
  fake_store store;
  with_coalescer(store, {}, [](coalescer& c) -> task<> {
    auto add = [](submission& to) {
      to.rows().add_text("0123456789");
      to.rows().commit_row();
      to.row_added();
    };
    submission open(c);
    add(open);
    add(open);
    EXPECT_EQ(c.stats().queued_bytes, 52u);
    submission held(c, submission::in_one_batch{});
    add(held);
    EXPECT_EQ(c.stats().queued_bytes, 78u);
    {
      submission given_up(c, submission::in_one_batch{});
      add(given_up);
      EXPECT_EQ(c.stats().queued_bytes, 104u);
    }
    EXPECT_EQ(c.stats().queued_bytes, 78u);
    held.join(std::make_shared<keyed_request>());
    EXPECT_EQ(c.stats().queued_bytes, 78u);
    task<void> committed = held.committed();
    co_await std::move(committed);
    EXPECT_EQ(c.stats().queued_bytes, 0u);
  });
}

TEST(coalescer_queue, a_full_queue_refuses_at_once) {
  fake_store store;
  with_coalescer(store, {.max_rows = 10, .queue_rows = 5}, [&](coalescer& c) -> task<> {
    auto first = submit(c, items("1", "2", "3", "4", "5"));
    auto second = [&]() -> task<> {
      EXPECT_TRUE(c.full());
      EXPECT_THROW(submission s(c), error);
      co_return;
    };
    co_await gather(std::move(first), second());
  });
}

TEST(coalescer_queue, rows_that_wait_for_room_go_on_when_rows_that_were_held_are_dropped) {
  fake_store store;
  with_coalescer(store, {.queue_rows = 3}, [&](coalescer& c) -> task<> {
    submission waits(c);
    auto dropping = [&]() -> task<> {
      submission together(c, submission::in_one_batch{});
      EXPECT_THROW(hold(together, items("1", "2", "3")), error);
      EXPECT_TRUE(waits.should_wait());
      co_await sleep_for(1s);
    };
    auto waiting = [&]() -> task<> {
      co_await sleep_for(1ms);
      while (waits.should_wait()) co_await waits.wait_for_room();
      hold(waits, items("4"));
      co_await waits.committed();
    };
    auto both = gather(dropping(), waiting());
    task<std::tuple<std::monostate, std::monostate>> limited = with_timeout(1h, std::move(both));
    co_await std::move(limited);
    EXPECT_EQ(store.batches.size(), 1u);
  });
}

TEST(coalescer_queue, rows_that_are_held_are_not_added_to_a_full_queue) {
  fake_store store;
  with_coalescer(store, {.queue_rows = 3}, [&](coalescer& c) -> task<> {
    submission one(c, submission::in_one_batch{});
    submission other(c, submission::in_one_batch{});
    EXPECT_THROW(hold(one, items("1", "2", "3")), error);
    EXPECT_THROW(hold(other, items("4")), error);
    EXPECT_EQ(c.stats().queued_rows, 3u);
    co_return;
  });
}

TEST(coalescer_queue, rows_of_one_batch_that_fill_the_queue_alone_are_too_many_and_not_to_be_tried_again) {
  fake_store store;
  with_coalescer(store, {.max_rows = 10, .queue_rows = 5}, [&](coalescer& c) -> task<> {
    submission together(c, submission::in_one_batch{});
    auto add = [&] {
      db::row_batch& rows = together.rows();
      rows.add_text("x");
      rows.commit_row();
      together.row_added();
    };
    for (int fitting = 0; fitting < 4; ++fitting) add();
    std::string code;
    try {
      add();
    } catch (const error& e) {
      code = e.code();
    }
    EXPECT_EQ(code, "ingest.keyed_request_too_large");
    co_return;
  });
}

TEST(coalescer_queue, a_bound_of_no_rows_is_one_of_one) {
  fake_store store;
  with_coalescer(store, {.max_rows = 0}, [&](coalescer& c) -> task<> {
    tally t = co_await with_timeout(1h, submit(c, items("a", "b")));
    EXPECT_EQ(t.stored, 2u);
    EXPECT_EQ(store.batches, (std::vector<std::vector<std::string>>{items("a"), items("b")}));
  });
}

}  // namespace
}  // namespace penstock::ingest
