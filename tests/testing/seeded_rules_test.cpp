// The rules that tasks, pool and coalescer keep, in many orders: each seed runs them with another schedule, other times
// and other cancels. tests/planted plants bugs to see that these tests find them.

#include <penstock/async/cancel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/semaphore.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/db/error.h>
#include <penstock/db/pool.h>
#include <penstock/ingest/coalescer.h>
#include <penstock/ingest/error.h>
#include <penstock/testing/database.h>
#include <penstock/testing/test.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;

constexpr int seeds = 40;

random_stream& draws() { return simulation::current().random_for("seeded rules"); }

// Whole ones, so that much happens at the same moment, and the schedule decides in which order.
duration milliseconds_below(std::uint64_t n) { return std::chrono::milliseconds(draws().below(n)); }

task<void> pause() { co_await sleep_for(1ms); }

// Runs a task, and cancels it at a random moment, or not at all.
task<void> cancelled_at_random(task<void> work) {
  cancel_scope scope;
  auto cancel_later = [&]() -> task<> {
    co_await sleep_for(milliseconds_below(20));
    scope.cancel("at random");
  };
  auto run = [&]() -> task<> {
    task<void> scoped = scope.run(std::move(work));
    try {
      co_await std::move(scoped);
    } catch (const operation_cancelled&) {
    }
  };
  std::vector<task<void>> both;
  both.push_back(run());
  if (draws().chance(0.3)) both.push_back(cancel_later());
  co_await gather(std::move(both));
}

PENSTOCK_TEST_SEEDS(semaphore_rules, permits_are_never_too_many_and_never_lost, seeds) {
  constexpr std::size_t capacity = 4;
  semaphore gate(capacity);
  std::size_t held = 0;
  auto client = [&](std::size_t count) -> task<> {
    auto permit = co_await gate.acquire(count);
    held += count;
    EXPECT_LE(held, capacity);
    struct leaving {
      std::size_t& held;
      std::size_t count;
      ~leaving() { held -= count; }
    };
    leaving at_the_end{held, count};
    co_await sleep_for(milliseconds_below(5));
  };
  std::vector<task<void>> clients;
  for (int i = 0; i < 30; ++i) clients.push_back(cancelled_at_random(client(1 + draws().below(capacity))));
  co_await gather(std::move(clients));
  EXPECT_EQ(gate.available(), capacity);
}

PENSTOCK_TEST_SEEDS(group_rules, a_failure_is_told_and_every_child_cleans_up_before_the_join_ends, seeds) {
  int begun = 0;
  int cleaned_up = 0;
  auto child = [&](bool fails) -> task<> {
    ++begun;
    bool cancelled = false;
    try {
      co_await sleep_for(milliseconds_below(10));
    } catch (const operation_cancelled&) {
      cancelled = true;
    }
    task<void> cleaning_up = shield(pause());
    co_await std::move(cleaning_up);
    ++cleaned_up;
    if (fails && !cancelled) throw std::runtime_error("a child failed");
  };
  std::size_t failing = draws().below(10);
  bool told = false;
  try {
    co_await with_task_group([&](task_group& group) -> task<> {
      for (std::size_t i = 0; i < 10; ++i) group.start(child(i == failing), "child " + std::to_string(i));
      co_return;
    });
  } catch (const std::runtime_error&) {
    told = true;
  }
  EXPECT_TRUE(told);
  EXPECT_EQ(begun, cleaned_up);
}

PENSTOCK_TEST_SEEDS(event_rules, every_waiter_goes_on_once, seeds) {
  event opened;
  std::vector<int> passed(20, 0);
  auto waiter = [&](int& count) -> task<> {
    co_await opened.wait();
    ++count;
    co_await sleep_for(1ms);
  };
  auto opener = [&]() -> task<> {
    co_await sleep_for(milliseconds_below(10));
    opened.set();
    opened.set();
  };
  std::vector<task<void>> all;
  for (int& count : passed) all.push_back(cancelled_at_random(waiter(count)));
  all.push_back(opener());
  co_await gather(std::move(all));
  for (int count : passed) EXPECT_LE(count, 1);
}

PENSTOCK_TEST_SEEDS(pool_rules, no_lease_is_dirty_or_lost_and_the_queue_is_bounded, seeds) {
  database store;
  db::pool_options options;
  options.max_size = 3;
  options.max_waiters = 4;
  db::pool sessions(store.server(), options);
  auto client = [&]() -> task<> {
    co_await sleep_for(milliseconds_below(15));
    bool refused = false;
    try {
      auto acquiring = sessions.acquire();
      db::pool::lease session = co_await std::move(acquiring);
      EXPECT_EQ(session->state(), db::session_state::clean);
      co_await session->begin();
      co_await sleep_for(milliseconds_below(5));
      if (draws().chance(0.5)) co_await session->commit();
    } catch (const db::database_error& e) {
      refused = e.errc() == db::db_errc::pool_full;
      if (!refused) throw;
    }
    db::pool_stats now = sessions.stats();
    std::size_t can_be_opened = options.max_size - now.in_use - now.idle;
    EXPECT_LE(now.waiting, options.max_waiters + can_be_opened);
  };
  co_await with_task_group([&](task_group& group) -> task<> {
    group.start_background(sessions.run(), "upkeep");
    std::vector<task<void>> clients;
    for (int i = 0; i < 30; ++i) clients.push_back(cancelled_at_random(client()));
    co_await gather(std::move(clients));
  });
  EXPECT_EQ(sessions.stats().in_use, 0u);
  co_await sessions.close();
  EXPECT_EQ(store.sessions(), 0u);
}

// A store that takes its time and fails now and then, and knows what it has taken.
struct moody_store {
  std::vector<std::string> taken;

  task<void> commit(ingest::batch& b) {
    co_await sleep_for(1ms + milliseconds_below(20));
    if (draws().chance(0.1)) throw std::runtime_error("the store is moody");
    b.report.rows.resize(b.rows.rows());
    for (std::size_t r = 0; r < b.rows.rows(); ++r) taken.emplace_back(b.rows.row(r)[0].text());
  }
};

PENSTOCK_TEST_SEEDS(coalescer_rules, what_is_answered_is_stored_in_order_and_the_queue_is_bounded, seeds) {
  moody_store store;
  ingest::coalescer_options options;
  options.max_rows = 8;
  options.queue_rows = 40;
  options.commits_in_flight = 3;
  ingest::coalescer queue(
      1, [&](ingest::batch& b) { return store.commit(b); }, options);
  auto client = [&](int number) -> task<> {
    co_await sleep_for(milliseconds_below(30));
    if (queue.full()) co_return;
    ingest::submission mine(queue);
    std::vector<std::string> sent;
    std::vector<std::string> stored;
    std::size_t collected = 0;
    auto collect = [&](const db::row_outcome&, const db::row_refusal*, const std::exception_ptr* failure) {
      if (failure == nullptr) stored.push_back(sent[collected]);
      ++collected;
    };
    std::size_t count = 1 + draws().below(20);
    for (std::size_t i = 0; i < count; ++i) {
      sent.push_back(std::to_string(number) + "/" + std::to_string(i));
      db::row_batch& rows = mine.rows();
      rows.add_text(sent.back());
      rows.commit_row();
      mine.row_added();
      EXPECT_LE(queue.stats().queued_rows, options.queue_rows + 1);
      while (mine.should_wait()) {
        co_await mine.wait_for_room();
        mine.collect(collect);
      }
    }
    co_await mine.committed();
    mine.collect(collect);
    EXPECT_EQ(collected, sent.size());
    auto place = store.taken.begin();
    for (const std::string& item : stored) {
      place = std::find(place, store.taken.end(), item);
      CO_ASSERT_TRUE(place != store.taken.end()) << item << " was answered, but is not stored, or out of its order";
      ++place;
    }
  };
  co_await with_task_group([&](task_group& group) -> task<> {
    group.start(queue.run(), "coalescer");
    std::vector<task<void>> clients;
    for (int i = 0; i < 12; ++i) clients.push_back(client(i));
    co_await gather(std::move(clients));
    queue.stop();
  });
  std::set<std::string> once(store.taken.begin(), store.taken.end());
  EXPECT_EQ(once.size(), store.taken.size());
}

}  // namespace
}  // namespace penstock::testing
