// Rows of a submission that has more than a batch holds: they wait for its earlier ones, and keep nobody else waiting.

#include "coalescer_apart_fixture.h"

namespace penstock::ingest {
namespace {

std::vector<std::string> numbered(const std::string& name, int count) {
  std::vector<std::string> list;
  for (int n = 0; n < count; ++n) list.push_back(name + std::to_string(n));
  return list;
}

coalescer_options small_batches() {
  coalescer_options options;
  options.max_rows = 10;
  options.commits_in_flight = 3;
  return options;
}

task<void> fail_what_waits(coalescer& c, duration when) {
  co_await sleep_for(when);
  c.fail_waiting_since(scheduler::current().now(), std::make_exception_ptr(std::runtime_error("away")));
}

}  // namespace

TEST(coalescer_followers, of_a_batch_that_takes_long_keep_nobody_else_waiting) {
  for (int rows : {15, 25, 95}) {
    locking_store store;
    store.takes = {{"many0", 20s}};
    with_locks(store, small_batches(), [&](coalescer& c) -> task<> {
      auto others = [&]() -> task<> {
        for (int n = 0; n < 18; ++n) {
          task<duration> storing = time_of(c, "other" + std::to_string(n));
          EXPECT_LT(co_await std::move(storing), 1100ms) << n;
          co_await sleep_for(1s);
        }
      };
      auto both = gather(ids_of(c, numbered("many", rows)), others());
      auto [ids, nothing] = co_await std::move(both);
      EXPECT_EQ(ids.size(), static_cast<std::size_t>(rows));
      EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
      EXPECT_GT(ids.at(0), 0);
    });
    for (const std::string& item : numbered("many", rows)) EXPECT_EQ(store.times_stored(item), 1u) << item;
    EXPECT_TRUE(store.tried_in_lane.empty());
  }
}

TEST(coalescer_followers, stay_where_they_are_while_nobody_else_waits) {
  locking_store store;
  store.latency = 3s;
  coalescer_options one_after_another = small_batches();
  with_locks(store, one_after_another, [&](coalescer& c) -> task<> {
    task<std::vector<std::int64_t>> storing = ids_of(c, numbered("many", 50));
    std::vector<std::int64_t> ids = co_await std::move(storing);
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
    EXPECT_EQ(c.stats().batches, 5u);
  });
}

TEST(coalescer_followers, are_all_stored_in_order_where_each_batch_takes_long) {
  locking_store store;
  store.latency = 3s;
  with_locks(store, small_batches(), [&](coalescer& c) -> task<> {
    bool ended = false;
    auto many = [&](std::string name) -> task<> {
      task<std::vector<std::int64_t>> storing = ids_of(c, numbered(name, 200));
      std::vector<std::int64_t> ids = co_await std::move(storing);
      EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end())) << name;
      EXPECT_GT(ids.at(0), 0) << name;
      ended = true;
    };
    auto others = [&]() -> task<> {
      int n = 0;
      while (!ended) {
        task<duration> storing = time_of(c, "other" + std::to_string(++n));
        EXPECT_LT(co_await std::move(storing), 15s) << n;
      }
    };
    co_await gather(many("a"), many("b"), others());
  });
  for (const char* name : {"a", "b"})
    for (const std::string& item : numbered(name, 200)) EXPECT_EQ(store.times_stored(item), 1u) << item;
}

TEST(coalescer_followers, are_stored_by_who_is_to_stop) {
  for (duration when : {500ms, 1500ms, 10500ms, 20500ms}) {
    locking_store store;
    store.takes = {{"many0", 10s}, {"many10", 10s}};
    with_locks(store, small_batches(), [&](coalescer& c) -> task<> {
      auto stopping = [&]() -> task<> {
        co_await sleep_for(when);
        c.stop_waiting_apart();
      };
      auto all = gather(ids_of(c, numbered("many", 25)), ids_of(c, numbered("other", 1)), stopping());
      auto [ids, other, nothing] = co_await std::move(all);
      EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end())) << when;
      EXPECT_GT(ids.at(0), 0) << when;
      EXPECT_GT(other.at(0), 0) << when;
    });
  }
}

// The earlier rows may wait for a lock for as long as they like to: the time of those behind them begins then.
TEST(coalescer_followers, have_all_their_time_after_earlier_rows_took_theirs) {
  locking_store store;
  store.takes = {{"many0", 20s}};
  store.locked = {"many12"};
  coalescer_options options = small_batches();
  options.attempt_timeout = 10s;
  options.commit_retry = 5s;
  with_locks(store, options, [&](coalescer& c) -> task<> {
    auto all = gather(ids_of(c, numbered("many", 25)), ids_of(c, numbered("other", 1)), unlock_after(30s, store));
    auto [ids, other, nothing] = co_await std::move(all);
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
    EXPECT_GT(ids.at(0), 0);
  });
}

TEST(coalescer_followers, that_fail_untried_leave_nothing_to_be_waited_for) {
  locking_store store;
  store.takes = {{"many0", 3s}};
  with_locks(store, small_batches(), [&](coalescer& c) -> task<> {
    auto both = gather(ids_of(c, numbered("many", 20)), fail_what_waits(c, 500ms));
    auto [ids, nothing] = co_await std::move(both);
    for (std::size_t n = 0; n < ids.size(); ++n) EXPECT_EQ(ids[n] > 0, n < 10) << n;
    task<duration> storing = time_of(c, "other");
    EXPECT_LT(co_await std::move(storing), 100ms);
  });
}

TEST(coalescer_followers, of_rows_that_failed_untried_wait_for_those_before_them) {
  locking_store store;
  store.takes = {{"many0", 3s}};
  with_locks(store, small_batches(), [&](coalescer& c) -> task<> {
    auto other = [&]() -> task<> {
      co_await sleep_for(700ms);
      task<duration> storing = time_of(c, "other");  // all is well again
      EXPECT_LT(co_await std::move(storing), 1100ms);
    };
    auto all = gather(ids_of(c, numbered("many", 40), 100ms), fail_what_waits(c, 500ms), other());
    auto [ids, failing, nothing] = co_await std::move(all);
    EXPECT_GT(ids.front(), 0);
    EXPECT_EQ(ids.at(3), -1);
    EXPECT_EQ(ids.at(7), -1);  // added when nothing had gone in yet
    EXPECT_GT(ids.back(), 0);
    std::erase(ids, -1);
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  });
}

TEST(coalescer_followers, of_rows_that_failed_untried_are_tried_a_second_later) {
  locking_store store;
  with_locks(store, small_batches(), [&](coalescer& c) -> task<> {
    auto both = gather(ids_of(c, numbered("many", 30), 100ms), fail_what_waits(c, 550ms));
    auto [ids, failing] = co_await std::move(both);
    for (std::size_t n = 0; n < ids.size(); ++n) EXPECT_EQ(ids[n] > 0, n < 6 || n > 15) << n;
  });
}

TEST(coalescer_followers, do_not_wait_for_the_batch_that_they_are_in_themselves) {
  locking_store store;
  store.takes = {{"many0", 3s}};
  with_locks(store, small_batches(), [&](coalescer& c) -> task<> {
    auto failing = [&]() -> task<> {
      co_await sleep_for(550ms);
      time_point before = scheduler::current().now() - 500ms;  // the batch behind the first was opened later, and stays
      c.fail_waiting_since(before, std::make_exception_ptr(std::runtime_error("away")));
    };
    auto both = gather(ids_of(c, numbered("many", 19), 100ms), failing());
    task<std::tuple<std::vector<std::int64_t>, std::monostate>> limited = with_timeout(10s, std::move(both));
    auto [ids, nothing] = co_await std::move(limited);
    for (std::size_t n = 0; n < ids.size(); ++n) EXPECT_EQ(ids[n] > 0, n < 6 || n > 15) << n;
    std::erase(ids, -1);
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  });
}

// The batch between them fails, which alone followed the first one.
TEST(coalescer_followers, keep_their_order_where_those_between_them_fail_untried) {
  locking_store store;
  store.takes = {{"many0", 3s}};
  with_locks(store, small_batches(), [&](coalescer& c) -> task<> {
    time_point begun = scheduler::current().now();
    auto failing = [&]() -> task<> {
      co_await sleep_for(1500ms);
      c.fail_waiting_since(begun + 1050ms, std::make_exception_ptr(std::runtime_error("away")));
    };
    auto both = gather(ids_of(c, numbered("many", 40), 100ms), failing());
    auto [ids, nothing] = co_await std::move(both);
    EXPECT_GT(ids.front(), 0);
    EXPECT_GT(std::count(ids.begin(), ids.end(), -1), 0);
    std::erase(ids, -1);
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  });
}

// Some of a submission's rows wait for a lock or for these, others between them failed untried.
TEST(coalescer_followers, have_an_outcome_each_where_some_between_them_failed_untried) {
  for (bool stops : {true, false}) {
    SCOPED_TRACE(stops);
    locking_store store;
    store.takes = {{"first", 200ms}};
    store.locked = {"first"};
    with_locks(store, small_batches(), [&](coalescer& c) -> task<> {
      submission s(c);
      std::vector<std::int64_t> ids;
      auto add = [&](const char* item) {
        if (s.is_in_vain()) return s.add_failed();
        s.rows().add_text(item);
        s.rows().commit_row();
        s.row_added();
      };
      auto client = [&]() -> task<> {
        add("first");
        co_await sleep_for(500ms);
        add("untried");
        co_await sleep_for(900ms);
        add("second");
        co_await sleep_for(300ms);
        add("untried too");
        co_await sleep_for(900ms);
        add("third");
        co_await s.committed();
        s.collect([&](const db::row_outcome& o, const db::row_refusal*, const std::exception_ptr* failure) {
          ids.push_back(failure == nullptr ? o.id : -1);
        });
        EXPECT_EQ(s.outstanding(), 0u);
      };
      auto stopping = [&]() -> task<> {
        co_await sleep_for(4s);
        if (stops) c.stop_waiting_apart();
      };
      auto all = gather(client(), fail_what_waits(c, 300ms), fail_what_waits(c, 1500ms), stopping());
      co_await std::move(all);
      EXPECT_EQ(ids, (std::vector<std::int64_t>{-1, -1, 1, -1, 2}));
    });
    EXPECT_EQ(store.times_stored("second"), 1u);
    EXPECT_EQ(store.times_stored("untried"), 0u);
  }
}

}  // namespace penstock::ingest
