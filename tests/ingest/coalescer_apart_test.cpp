// Rows that a commit sets apart: they are tried again by themselves, keep their order, and end once.

#include "coalescer_apart_fixture.h"
#include <penstock/testing/random_stream.h>

namespace penstock::ingest {

TEST(coalescer_apart, rows_keep_nobody_else_waiting) {
  locking_store store;
  store.locked = {"b"};
  with_locks(store, {}, [&](coalescer& c) -> task<> {
    auto all = gather(time_of(c, "a"), time_of(c, "b"), time_of(c, "c"), unlock_after(3s, store));
    auto [a, b, d, nothing] = co_await std::move(all);
    EXPECT_LT(a, 20ms);
    EXPECT_LT(d, 20ms);
    EXPECT_GE(b, 3s);
    EXPECT_LT(b, 4s);
  });
  for (const char* item : {"a", "b", "c"}) EXPECT_EQ(store.times_stored(item), 1u) << item;
}

TEST(coalescer_apart, a_submission_is_stored_in_its_order_whichever_of_its_rows_wait) {
  const std::vector<std::string> five = items("a", "b", "c", "d", "e");
  for (unsigned locked = 0; locked < 32; ++locked) {
    for (duration pace : {0ms, 7ms}) {
      locking_store store;
      for (std::size_t i = 0; i < five.size(); ++i)
        if ((locked >> i & 1U) != 0) store.locked.insert(five[i]);
      coalescer_options options;
      options.max_rows = 2;
      options.commits_in_flight = 3;
      with_locks(store, options, [&](coalescer& c) -> task<> {
        auto both = gather(ids_of(c, five, pace), unlock_after(1s, store));
        auto [ids, nothing] = co_await std::move(both);
        EXPECT_EQ(ids.size(), five.size());
        EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end())) << locked;
        EXPECT_GT(ids.at(0), 0);
      });
      for (const std::string& item : five) EXPECT_EQ(store.times_stored(item), 1u) << item;
    }
  }
}

TEST(coalescer_apart, rows_are_given_up_one_by_one_when_their_time_is_over) {
  locking_store store;
  store.locked = {"b"};
  coalescer_options options;
  options.attempt_timeout = 3s;
  options.commit_retry = 2s;
  with_locks(store, options, [&](coalescer& c) -> task<> {
    time_point begun = scheduler::current().now();
    task<std::vector<std::int64_t>> storing = ids_of(c, items("a", "b", "c"));
    std::vector<std::int64_t> ids = co_await std::move(storing);
    EXPECT_EQ(ids.size(), 3u);
    EXPECT_GT(ids.at(0), 0);
    EXPECT_EQ(ids.at(1), -1);
    EXPECT_GT(ids.at(2), 0);
    EXPECT_GE(scheduler::current().now() - begun, 5s);
    EXPECT_LT(scheduler::current().now() - begun, 6s);
  });
}

TEST(coalescer_apart, rows_that_were_not_tried_by_themselves_stay_with_the_others) {
  locking_store store;
  int left = 3;
  store.runs_out_of_time = [&] { return left-- > 0; };
  with_locks(store, {}, [&](coalescer& c) -> task<> {
    task<duration> storing = time_of(c, "a");
    EXPECT_LT(co_await std::move(storing), 100ms);
  });
  EXPECT_EQ(store.tried.size(), 4u);
  EXPECT_TRUE(store.tried_in_lane.empty());
}

TEST(coalescer_apart, rows_count_as_waiting_ones) {
  locking_store store;
  store.locked = {"a", "b"};
  coalescer_options options;
  options.queue_rows = 2;
  with_locks(store, options, [&](coalescer& c) -> task<> {
    auto refused = [&]() -> task<> {
      for (int n = 0; n < 100; ++n) {
        co_await sleep_for(10ms);
        EXPECT_TRUE(c.full());
        EXPECT_EQ(c.stats().queued_rows, 2u);
      }
      EXPECT_EQ(c.stats().rows_apart, 2u);
      EXPECT_THROW(submission one(c), error);
      store.locked.clear();
    };
    co_await gather(ids_of(c, items("a", "b")), refused());
    EXPECT_FALSE(c.full());
  });
}

TEST(coalescer_apart, rows_that_wait_for_room_go_on_when_those_in_the_lane_are_stored) {
  locking_store store;
  store.locked = {"a", "b"};
  coalescer_options options;
  options.queue_rows = 2;
  with_locks(store, options, [&](coalescer& c) -> task<> {
    submission waits(c);
    auto waiting = [&]() -> task<> {
      co_await sleep_for(1s);
      EXPECT_TRUE(waits.should_wait());
      while (waits.should_wait()) co_await waits.wait_for_room();
      db::row_batch& rows = waits.rows();
      rows.add_text("c");
      rows.commit_row();
      waits.row_added();
      co_await waits.committed();
    };
    auto all = gather(ids_of(c, items("a", "b")), waiting(), unlock_after(2s, store));
    auto limited = with_timeout(1min, std::move(all));
    auto [ids, nothing, unlocked] = co_await std::move(limited);
    EXPECT_GT(ids.at(0), 0);
  });
  EXPECT_EQ(store.times_stored("c"), 1u);
}

TEST(coalescer_apart, whoever_is_to_stop_tries_once_more_and_waits_no_longer) {
  locking_store store;
  store.locked = {"a", "b"};
  with_locks(store, {}, [&](coalescer& c) -> task<> {
    auto stopping = [&]() -> task<> {
      co_await sleep_for(2s);
      store.locked = {"b"};
      c.stop_waiting_apart();
    };
    time_point begun = scheduler::current().now();
    auto all = gather(ids_of(c, items("a")), ids_of(c, items("b", "c")), stopping());
    auto [first, second, stopped] = co_await std::move(all);
    EXPECT_LT(scheduler::current().now() - begun, 3s);
    EXPECT_GT(first.at(0), 0);
    EXPECT_EQ(second.at(0), -1);
    EXPECT_GT(second.at(1), 0);
  });
}

TEST(coalescer_apart, a_stop_leaves_nobody_waiting) {
  locking_store store;
  store.locked = {"a"};
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    two_lanes both(store, {});
    auto stopping = [&]() -> task<> {
      co_await sleep_for(2s);
      both.main.stop();
    };
    auto all = gather(both.main.run(), both.lane.run(), ids_of(both.main, items("a", "b")), stopping());
    auto [main_ended, lane_ended, ids, stopped] = co_await std::move(all);
    EXPECT_EQ(ids, (std::vector<std::int64_t>{-1, -1}));
    both.expect_nothing_left();
  };
  sim.run(main());
}

TEST(coalescer_apart, a_cancelled_coalescer_leaves_nobody_waiting) {
  for (duration when : {5ms, 15ms, 30ms, 65ms, 500ms, 1000ms}) {
    locking_store store;
    store.locked = {"a"};
    penstock::testing::simulation sim;
    auto main = [&]() -> task<> {
      two_lanes both(store, {});
      auto until = [&](coalescer& c) -> task<> {
        try {
          task<> cancelled = with_timeout(when, c.run());
          co_await std::move(cancelled);
        } catch (const timed_out&) {
        }
      };
      auto all = gather(until(both.main), until(both.lane), ids_of(both.main, items("a", "b")));
      auto [main_ended, lane_ended, ids] = co_await std::move(all);
      EXPECT_EQ(ids.size(), 2u);
      EXPECT_EQ(ids.at(0), -1);
      both.expect_nothing_left();
    };
    sim.run(main());
  }
}

TEST(coalescer_apart, a_submission_that_is_gone_is_not_tried_again) {
  locking_store store;
  store.locked = {"a"};
  with_locks(store, {}, [&](coalescer& c) -> task<> {
    try {
      task<std::vector<std::int64_t>> given_up = with_timeout(2s, ids_of(c, items("a")));
      co_await std::move(given_up);
      ADD_FAILURE() << "it ended";
    } catch (const timed_out&) {
    }
    co_await sleep_for(1s);
    EXPECT_EQ(c.stats().queued_rows, 0u);
    store.locked.clear();
    co_await sleep_for(10s);
  });
  EXPECT_EQ(store.times_stored("a"), 0u);
}

TEST(coalescer_apart, a_wait_that_was_cut_short_is_taken_up_again) {
  for (duration when : {5ms, 15ms, 40ms, 200ms, 1000ms, 3000ms}) {
    locking_store store;
    store.locked = {"a"};
    with_locks(store, {}, [&](coalescer& c) -> task<> {
      submission s(c);
      for (const char* item : {"a", "b"}) {
        s.rows().add_text(item);
        s.rows().commit_row();
        s.row_added();
      }
      try {
        task<> waiting = with_timeout(when, s.committed());
        co_await std::move(waiting);
        ADD_FAILURE() << "it ended";
      } catch (const timed_out&) {
      }
      store.locked.clear();
      co_await s.committed();
      int stored = 0;
      s.collect([&](const db::row_outcome& o, const db::row_refusal*, const std::exception_ptr* failure) {
        if (failure == nullptr && o.id > 0) ++stored;
      });
      EXPECT_EQ(stored, 2);
      EXPECT_EQ(s.outstanding(), 0u);
    });
  }
}

// Whatever is locked, fails and is left early, each row ends once, in its submission's order, and nothing is left.
TEST(coalescer_apart, every_row_ends_once_under_any_locks) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    penstock::testing::random_stream draw(seed);
    locking_store store;
    store.latency = std::chrono::milliseconds(draw.below(20) + 1);
    bool may_fail = draw.below(3) == 0;
    store.fails = [&] { return may_fail && draw.below(8) == 0; };
    store.runs_out_of_time = [&] { return draw.below(10) == 0; };
    coalescer_options options;
    options.max_rows = draw.below(20) + 1;
    options.commits_in_flight = draw.below(3) + 1;
    options.queue_rows = draw.below(100) + 20;
    options.attempt_timeout = 2s;
    options.commit_retry = 1s;
    std::size_t clients = draw.below(12) + 1;
    with_locks(store, options, [&](coalescer& c) -> task<> {
      bool is_over = false;
      auto locking = [&]() -> task<> {
        while (!is_over) {
          co_await sleep_for(std::chrono::milliseconds(draw.below(1'000)));
          if (draw.below(3) == 0) store.locked.clear();
          for (std::size_t n = draw.below(4); n > 0; --n)
            store.locked.insert(std::to_string(draw.below(clients)) + "-" + std::to_string(draw.below(30)));
        }
      };
      auto client = [&](std::size_t which) -> task<> {
        for (std::size_t request = 0; request < 3; ++request) {
          std::vector<std::string> list;
          for (std::size_t n = draw.below(30) + 1; n > 0; --n)
            list.push_back(std::to_string(which) + "-" + std::to_string(30 - n + 100 * request));
          duration pace = draw.below(2) == 0 ? 0ms : std::chrono::milliseconds(draw.below(10));
          bool is_left_early = draw.below(6) == 0;
          std::vector<std::int64_t> ids;
          try {
            task<std::vector<std::int64_t>> storing = ids_of(c, list, pace);
            task<std::vector<std::int64_t>> limited = with_timeout(is_left_early ? 200ms : 10min, std::move(storing));
            ids = co_await std::move(limited);
          } catch (const timed_out&) {
            EXPECT_TRUE(is_left_early);
            continue;
          } catch (const error& e) {
            EXPECT_TRUE(e.is(ingest_errc::overloaded));
            continue;
          }
          EXPECT_EQ(ids.size(), list.size());
          std::int64_t before = 0;
          for (std::size_t i = 0; i < ids.size(); ++i) {
            EXPECT_EQ(store.times_stored(list[i]), ids[i] < 0 ? 0u : 1u) << list[i] << " of seed " << seed;
            if (ids[i] < 0) continue;
            EXPECT_EQ(store.stored[list[i]].front(), ids[i]);
            EXPECT_GT(ids[i], before) << list[i] << " of seed " << seed;
            before = ids[i];
          }
        }
      };
      auto all = [&]() -> task<> {
        std::vector<task<>> every;
        for (std::size_t n = 0; n < clients; ++n) every.push_back(client(n));
        co_await gather(std::move(every));
        is_over = true;
      };
      co_await gather(locking(), all());
    });
    if (HasFailure()) return;
  }
}

}  // namespace penstock::ingest
