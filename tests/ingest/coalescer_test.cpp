#include "coalescer_fixture.h"
#include <penstock/async/cancel.h>
#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/ingest/error.h>

namespace penstock::ingest {
namespace {

TEST(coalescer, a_lone_item_is_committed_without_lingering) {
  fake_store store;
  with_coalescer(store, {.linger = 1s}, [](coalescer& c) -> task<> {
    time_point start = scheduler::current().now();
    co_await submit(c, items("one"));
    EXPECT_EQ(scheduler::current().now() - start, 10ms);
  });
}

TEST(coalescer, what_comes_during_a_commit_shares_the_next_one) {
  fake_store store;
  with_coalescer(store, {}, [&](coalescer& c) -> task<> {
    std::vector<task<tally>> requests;
    for (int i = 0; i < 64; ++i) requests.push_back(submit(c, items(std::to_string(i))));
    std::vector<tally> done = co_await gather(std::move(requests));
    EXPECT_LE(store.batches.size(), 2u);
    for (const tally& t : done) EXPECT_EQ(t.stored, 1);
  });
}

TEST(coalescer, keeps_no_rows_for_whom_does_not_take_their_outcomes_yet) {
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    const batch* stored = nullptr;
    auto commit = [&](batch& b) -> task<> {
      stored = &b;
      b.report.rows.resize(b.rows.rows());
      co_return;
    };
    coalescer c(1, commit);
    co_await with_task_group([&](task_group& group) -> task<> {
      group.start(c.run(), "coalescer");
      submission slow(c);
      slow.rows().add_text(std::string(100'000, 'x'));
      slow.rows().commit_row();
      slow.row_added();
      co_await slow.committed();
      EXPECT_TRUE(stored->done.is_set());
      EXPECT_TRUE(stored->rows.empty());
      EXPECT_EQ(stored->rows.bytes(), 0u);
      c.stop();
    });
  };
  sim.run(main());
}

TEST(coalescer, ids_are_wanted_of_a_batch_when_anybody_in_it_wants_them) {
  fake_store store;
  auto body = [&](coalescer& c) -> task<> {
    for (bool other_wants : {false, true, false}) {
      auto one = submit(c, items("a"), false);
      auto other = submit(c, items("b"), other_wants);
      co_await gather(std::move(one), std::move(other));
    }
  };
  with_coalescer(store, {}, body);
  EXPECT_EQ(store.batches.size(), 3u);
  EXPECT_EQ(store.wanted_ids, (std::vector<bool>{false, true, false}));
}

TEST(coalescer, clients_that_come_back_are_waited_for_within_the_linger) {
  fake_store store;
  with_coalescer(store, {}, [&](coalescer& c) -> task<> {
    auto client = [&](duration think) -> task<> {
      for (int i = 0; i < 10; ++i) {
        co_await submit(c, items("x"));
        co_await sleep_for(think);
      }
    };
    std::vector<task<>> clients;
    for (int i = 0; i < 8; ++i) clients.push_back(client(std::chrono::microseconds(100 * i)));
    co_await gather(std::move(clients));
    EXPECT_LE(store.batches.size(), 13u);
  });
}

TEST(coalescer, a_batch_never_exceeds_its_bounds_and_order_is_kept) {
  fake_store store;
  with_coalescer(store, {.max_rows = 100}, [&](coalescer& c) -> task<> {
    std::vector<std::string> sent;
    for (int i = 0; i < 1050; ++i) sent.push_back(std::to_string(i));
    tally t = co_await submit(c, sent);
    EXPECT_EQ(t.stored, 1050);
    std::vector<std::string> seen;
    for (auto& b : store.batches) {
      EXPECT_LE(b.size(), 100u);
      seen.insert(seen.end(), b.begin(), b.end());
    }
    EXPECT_EQ(seen, sent);
  });
}

TEST(coalescer, rows_of_one_submission_are_stored_in_order_though_commits_overlap) {
  fake_store store;
  store.latency = 1ms;
  store.of_the_first = 100ms;
  with_coalescer(store, {.max_rows = 10, .commits_in_flight = 4}, [&](coalescer& c) -> task<> {
    std::vector<std::string> sent;
    for (int i = 0; i < 35; ++i) sent.push_back(std::to_string(i));
    tally t = co_await submit(c, sent);
    EXPECT_EQ(t.stored, 35);
    std::vector<std::string> seen;
    for (auto& b : store.batches) seen.insert(seen.end(), b.begin(), b.end());
    EXPECT_EQ(seen, sent);
  });
}

TEST(coalescer, commits_of_different_submissions_overlap) {
  fake_store store;
  store.latency = 1ms;
  store.of_the_first = 100ms;
  with_coalescer(store, {.max_rows = 2, .commits_in_flight = 4}, [&](coalescer& c) -> task<> {
    std::vector<task<tally>> requests;
    for (const char* name : {"a", "b", "c"}) requests.push_back(submit(c, items(name, name)));
    co_await gather(std::move(requests));
    EXPECT_EQ(store.batches.back().front(), "a");
  });
}

TEST(coalescer, commits_at_a_time_start_evenly_over_the_time_that_one_takes) {
  fake_store store;
  store.latency = 40ms;
  with_coalescer(store, {.commits_in_flight = 4}, [&](coalescer& c) -> task<> {
    co_await submit(c, items("first"));
    std::vector<task<tally>> clients;
    auto client = [&](duration after) -> task<tally> {
      co_await sleep_for(after);
      task<tally> submitting = submit(c, items("x"));
      co_return co_await std::move(submitting);
    };
    for (int i = 0; i < 100; ++i) clients.push_back(client(std::chrono::microseconds(300 * i)));
    auto all = gather(std::move(clients));
    co_await std::move(all);
    // 30 ms of items that come one by one, a batch each 10 ms.
    EXPECT_LE(store.batches.size(), 1u + 5u);
    EXPECT_GE(store.batches.size(), 1u + 3u);
  });
}

TEST(coalescer, the_next_batch_is_begun_before_anybody_hears_of_the_last) {
  std::vector<std::string> seen;
  auto commit = [&](batch& b) -> task<void> {
    seen.push_back("commit " + std::string(b.rows.row(0)[0].text()));
    co_await sleep_for(10ms);
    b.report.rows.resize(b.rows.rows());
  };
  testing::simulation sim;
  auto main = [&]() -> task<> {
    coalescer_options options;
    options.max_rows = 2;
    coalescer c(1, commit, options);
    auto client = [&](std::string name) -> task<> {
      auto submitting = submit(c, items(name, name));
      co_await std::move(submitting);
      seen.push_back("told " + name);
    };
    auto body = [&](task_group& group) -> task<> {
      group.start(c.run(), "coalescer");
      auto all = gather(client("a"), client("b"), client("c"));
      co_await std::move(all);
      c.stop();
    };
    auto running = with_task_group(body);
    co_await std::move(running);
  };
  sim.run(main());
  EXPECT_EQ(seen, (std::vector<std::string>{"commit a", "commit b", "told a", "commit c", "told b", "told c"}));
}

TEST(coalescer, rows_that_come_at_the_moment_a_commit_ends_are_not_the_last) {
  fake_store store;
  store.latency = 10ms;
  coalescer_options options;
  options.max_rows = 1;
  with_coalescer(store, options, [&](coalescer& c) -> task<> {
    auto client = [&](duration after) -> task<tally> {
      co_await sleep_for(after);
      auto submitting = submit(c, items("x"));
      co_return co_await std::move(submitting);
    };
    // The second one's timer is older than that of the commit, which ends at the same time.
    std::vector<task<tally>> clients;
    for (duration after : {duration(0ms), duration(10ms), duration(50ms)}) clients.push_back(client(after));
    auto all = gather(std::move(clients));
    std::vector<tally> told = co_await std::move(all);
    for (const tally& t : told) EXPECT_EQ(t.stored, 1);
  });
}

TEST(coalescer, a_store_that_is_slow_to_take_rows_gets_fewer_at_a_time) {
  std::vector<std::size_t> largest;
  for (duration of_a_row : {duration(1us), duration(200us)}) {
    fake_store store;
    store.of_a_row = of_a_row;
    with_coalescer(store, {.max_rows = 5'000}, [&](coalescer& c) -> task<> {
      std::vector<std::string> many(40'000, "x");
      co_await submit(c, many);
    });
    std::size_t most = 0;
    for (std::size_t i = store.batches.size() / 2; i < store.batches.size(); ++i)
      most = std::max(most, store.batches[i].size());
    largest.push_back(most);
  }
  EXPECT_GE(largest[0], 4'000u);  // 10 ms and 1 us a row: as many as may be
  EXPECT_LE(largest[1], 400u);    // 10 ms and 200 us a row: 200 rows take 50 ms
}

TEST(coalescer, a_failed_commit_fails_its_rows_and_no_others) {
  fake_store store;
  with_coalescer(store, {}, [&](coalescer& c) -> task<> {
    store.fails = true;
    tally bad = co_await submit(c, items("a", "b"));
    store.fails = false;
    tally good = co_await submit(c, items("c"));
    EXPECT_EQ(bad.failed, 2);
    EXPECT_EQ(good.stored, 1);
  });
}

TEST(coalescer, stop_commits_what_was_added_and_refuses_the_rest) {
  fake_store store;
  with_coalescer(store, {.linger = 1h}, [&](coalescer& c) -> task<> {
    auto client = submit(c, items("last"));
    auto stopper = [&]() -> task<> {
      c.stop();
      EXPECT_THROW(submission s(c), error);
      co_return;
    };
    auto [t, nothing] = co_await gather(std::move(client), stopper());
    EXPECT_EQ(t.stored, 1);
  });
}

TEST(coalescer, a_row_that_is_added_after_stop_while_the_last_batch_is_committed_is_committed_too) {
  fake_store store;
  with_coalescer(store, {}, [&](coalescer& c) -> task<> {
    auto add = [](submission& to) {
      to.rows().add_text("x");
      to.rows().commit_row();
      to.row_added();
    };
    submission under_way(c);
    add(under_way);
    co_await sleep_for(5ms);
    c.stop();
    co_await sleep_for(1ms);
    add(under_way);
    task<void> limited = with_timeout(1h, under_way.committed());
    co_await std::move(limited);
    EXPECT_EQ(store.batches.size(), 2u);
    co_await sleep_for(1ms);
    EXPECT_THROW(under_way.rows(), error) << "now it has ended";
  });
}

TEST(coalescer, a_batch_that_was_opened_and_got_no_row_is_not_committed) {
  fake_store store;
  with_coalescer(store, {.max_rows = 1}, [&](coalescer& c) -> task<> {
    auto client = [&]() -> task<> {
      submission rejected(c);
      rejected.rows();
      co_await sleep_for(1s);
    };
    auto both = gather(submit(c, items("1")), client());
    co_await std::move(both);
    c.stop();
    co_await sleep_for(1s);
    EXPECT_EQ(c.stats().batches, 1u);
  });
}

TEST(coalescer, the_linger_begins_with_the_first_row) {
  fake_store store;
  with_coalescer(store, {.linger = 1s}, [&](coalescer& c) -> task<> {
    auto two = gather(submit(c, items("a")), submit(c, items("b")));
    co_await std::move(two);
    submission rejected(c);
    rejected.rows();
    co_await sleep_for(1min);
    time_point start = scheduler::current().now();
    co_await submit(c, items("lone"));
    EXPECT_EQ(scheduler::current().now() - start, 1s + 10ms);
  });
}

TEST(coalescer, a_cancelled_client_leaves_its_rows_to_be_committed) {
  fake_store store;
  with_coalescer(store, {}, [&](coalescer& c) -> task<> {
    auto client = submit(c, items("kept"));
    EXPECT_THROW(co_await with_timeout(1ms, std::move(client)), timed_out);
    co_await sleep_for(1s);
    EXPECT_EQ(store.batches.size(), 1u);
  });
}

TEST(coalescer, may_end_with_many_batches_that_go_one_after_another) {
  fake_store store;
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    coalescer_options options;
    options.max_rows = 1;
    coalescer never_run(1, store.commit(), options);
    submission all(never_run);
    for (int i = 0; i < 20; ++i) {
      all.rows().add_text("x");
      all.rows().commit_row();
      all.row_added();
    }
    EXPECT_EQ(never_run.stats().queued_rows, 20u);
    co_return;
  };
  sim.run(main());
  EXPECT_TRUE(store.batches.empty());
}

TEST(coalescer, a_cancelled_run_fails_what_waits) {
  penstock::testing::simulation sim;
  fake_store store;
  auto main = [&]() -> task<> {
    coalescer c(1, store.commit(), {.max_rows = 1});
    cancel_scope scope;
    task_group group;
    auto running = [&]() -> task<> { EXPECT_THROW(co_await scope.run(c.run()), operation_cancelled); };
    group.start(running());
    auto client = [&]() -> task<> {
      tally t = co_await submit(c, items("1", "2"));
      EXPECT_EQ(t.stored + t.failed, 2);
      EXPECT_GE(t.failed, 1);
    };
    group.start(client());
    co_await sleep_for(1ms);
    scope.cancel("test");
    co_await group.join();
    EXPECT_EQ(c.stats().queued_rows, 0u);
  };
  sim.run(main());
}

}  // namespace
}  // namespace penstock::ingest
