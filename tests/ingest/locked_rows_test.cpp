// A row of a batch waits for a lock that another session holds: its neighbours are stored, and so is it once it can be.

#include "marked_database.h"
#include <penstock/async/gather.h>
#include <penstock/ingest/processor.h>
#include <penstock/observe/log_capture.h>
#include <penstock/observe/metrics.h>
#include <penstock/testing/simulation.h>

#include <algorithm>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

struct world {
  std::shared_ptr<marked_server> server = std::make_shared<marked_server>();
  metrics::registry registry;
  processor_options options;
  log::capture logged;

  world() {
    options.max_batches = 100;
    options.commits.commits_in_flight = 3;
    server->lock_timeout = 1h;
  }

  std::size_t times_stored(const std::string& item) const {
    return static_cast<std::size_t>(std::count(server->stored.begin(), server->stored.end(), item));
  }
  double metric(const std::string& name) const {
    const std::string page = registry.render();
    std::size_t at = page.find("\n" + name + "{");
    return at == std::string::npos ? -1 : std::stod(page.substr(page.find("} ", at) + 2));
  }

  template <class Body>
  void run(Body body) {
    penstock::testing::simulation sim;
    auto main = [&]() -> task<void> {
      processor p(db::database(std::make_shared<marked_driver>(server)), options, {}, &registry);
      co_await p.open();
      co_await body(p);
      co_await p.close();
    };
    sim.run(main());
  }
};

std::vector<std::string> numbers(int count) {
  std::vector<std::string> list;
  for (int n = 0; n < count; ++n) list.push_back(std::to_string(n));
  return list;
}

// What became of the items, and when that was known.
struct end_of_items {
  std::vector<item_result> items;
  duration after{};
};

task<end_of_items> process(processor& to, std::vector<std::string> items) {
  time_point begun = scheduler::current().now();
  task<batch_result> processing = to.process(std::move(items));
  batch_result r = co_await std::move(processing);
  co_return end_of_items{std::move(r.items), scheduler::current().now() - begun};
}

task<void> unlock_after(duration wait, marked_server& server) {
  co_await sleep_for(wait);
  server.locked_rows.clear();
}

}  // namespace

TEST(locked_rows, wait_by_themselves_while_their_neighbours_are_stored) {
  world w;
  w.server->locked_rows.insert("500");
  w.run([&](processor& p) -> task<void> {
    std::vector<task<end_of_items>> all;
    for (const std::string& item : numbers(1'000)) {
      std::vector<std::string> one(1, item);
      all.push_back(process(p, std::move(one)));
    }
    auto sending = [&](std::vector<task<end_of_items>> every) -> task<std::vector<end_of_items>> {
      task<std::vector<end_of_items>> gathering = gather(std::move(every));
      co_return co_await std::move(gathering);
    };
    task<void> unlocking = unlock_after(5s, *w.server);
    auto both = gather(sending(std::move(all)), std::move(unlocking));
    auto [ends, nothing] = co_await std::move(both);
    for (std::size_t i = 0; i < ends.size(); ++i) {
      EXPECT_EQ(ends[i].items.front().status, item_status::stored) << i;
      if (i == 500)
        EXPECT_LT(ends[i].after, 6s);
      else
        EXPECT_LT(ends[i].after, 1500ms) << i;  // one wait for the lock, and short ones
    }
  });
  for (const std::string& item : numbers(1'000)) EXPECT_EQ(w.times_stored(item), 1u) << item;
  EXPECT_EQ(w.metric("penstock_rows_set_apart_total"), 1);
  EXPECT_EQ(w.metric("penstock_queue_rows_apart"), 0);
  EXPECT_NE(w.logged.text().find("items wait for a lock"), std::string::npos);
}

TEST(locked_rows, are_given_up_after_both_times_of_a_batch) {
  world w;
  w.options.commits.attempt_timeout = 3s;
  w.options.commits.commit_retry = 2s;
  w.server->locked_rows.insert("1");
  w.run([&](processor& p) -> task<void> {
    auto processing = process(p, numbers(3));
    end_of_items ends = co_await std::move(processing);
    EXPECT_EQ(ends.items[0].status, item_status::stored);
    EXPECT_EQ(ends.items[1].status, item_status::failed);
    EXPECT_EQ(ends.items[2].status, item_status::stored);
    EXPECT_GE(ends.after, 5s);
    EXPECT_LT(ends.after, 8s);
  });
  EXPECT_EQ(w.server->stored.size(), 2u);
  EXPECT_EQ(w.metric("penstock_queue_rows"), 0);
}

TEST(locked_rows, of_all_of_a_batch_are_stored_once_the_lock_is_gone) {
  world w;
  for (const std::string& item : numbers(300)) w.server->locked_rows.insert(item);
  w.run([&](processor& p) -> task<void> {
    task<void> unlocking = unlock_after(20s, *w.server);
    auto both = gather(process(p, numbers(300)), std::move(unlocking));
    auto [ends, nothing] = co_await std::move(both);
    for (const item_result& item : ends.items) EXPECT_EQ(item.status, item_status::stored);
    EXPECT_LT(ends.after, 25s);
  });
  for (const std::string& item : numbers(300)) EXPECT_EQ(w.times_stored(item), 1u) << item;
}

TEST(locked_rows, of_a_cancelled_batch_are_counted_when_they_have_ended) {
  world w;
  w.server->locked_rows.insert("1");
  w.run([&](processor& p) -> task<void> {
    try {
      task<end_of_items> cancelled = with_timeout(2s, process(p, numbers(3)));
      co_await std::move(cancelled);
      ADD_FAILURE() << "it ended";
    } catch (const timed_out&) {
    }
    co_await sleep_for(1s);
    EXPECT_EQ(p.counts().stored, 0u);
    w.server->locked_rows.clear();
    co_await sleep_for(3s);
    EXPECT_EQ(p.counts().stored, 3u);
  });
  EXPECT_EQ(w.server->stored.size(), 3u);
}

TEST(locked_rows, hold_up_no_close) {
  world w;
  w.server->locked_rows.insert("1");
  w.run([&](processor& p) -> task<void> {
    auto closing = [&]() -> task<duration> {
      co_await sleep_for(3s);
      time_point begun = scheduler::current().now();
      task<> ending = p.close();
      co_await std::move(ending);
      co_return scheduler::current().now() - begun;
    };
    auto both = gather(process(p, numbers(3)), closing());
    auto [ends, took] = co_await std::move(both);
    EXPECT_EQ(ends.items[1].status, item_status::failed);
    EXPECT_EQ(ends.items[2].status, item_status::stored);
    EXPECT_LT(took, 2s);
  });
  EXPECT_EQ(w.server->stored.size(), 2u);
}

TEST(locked_rows, leave_items_behind_them_in_the_queue_in_no_worse_a_place) {
  world w;
  w.server->locked_rows.insert("0");
  w.run([&](processor& p) -> task<void> {
    std::vector<task<end_of_items>> all;
    all.push_back(process(p, numbers(1)));
    for (int n = 1; n <= 20; ++n) {
      auto later = [](processor& to, int number) -> task<end_of_items> {
        co_await sleep_for(number * 500ms);
        std::vector<std::string> one(1, std::to_string(number));
        task<end_of_items> processing = process(to, std::move(one));
        co_return co_await std::move(processing);
      };
      all.push_back(later(p, n));
    }
    task<void> unlocking = unlock_after(30s, *w.server);
    auto both = gather(gather(std::move(all)), std::move(unlocking));
    auto [ends, nothing] = co_await std::move(both);
    for (std::size_t i = 1; i < ends.size(); ++i) EXPECT_LT(ends[i].after, 100ms) << i;
  });
  EXPECT_EQ(w.server->stored.size(), 21u);
}

// A row that somebody locked between the two tries of its batch is waited for no longer than in any other batch.
TEST(locked_rows, keep_no_commit_in_doubt) {
  for (cut how : {cut::before, cut::after, cut::during}) {
    world w;
    bool was_lost = false;
    w.server->cuts = [&](std::size_t, const std::string& what) -> std::optional<cut> {
      if (what != "COMMIT" || std::exchange(was_lost, true)) return std::nullopt;
      w.server->locked_rows.insert("1");
      return how;
    };
    w.run([&](processor& p) -> task<void> {
      w.server->armed = true;
      std::vector<task<end_of_items>> all;
      for (const std::string& item : numbers(3)) {
        std::vector<std::string> one(1, item);
        all.push_back(process(p, std::move(one)));
      }
      task<void> unlocking = unlock_after(20s, *w.server);
      auto both = gather(gather(std::move(all)), std::move(unlocking));
      auto [ends, nothing] = co_await std::move(both);
      for (const end_of_items& e : ends) EXPECT_EQ(e.items.front().status, item_status::stored);
      EXPECT_LT(ends[0].after, 1500ms);
      EXPECT_LT(ends[2].after, 1500ms);
    });
    for (const std::string& item : numbers(3)) EXPECT_EQ(w.times_stored(item), 1u) << item;
    EXPECT_EQ(w.metric("penstock_rows_set_apart_total"), how == cut::before ? 1 : 0);
  }
}

// What a connection that dies in the middle has committed is known from its marker: nothing is stored twice.
TEST(locked_rows, are_stored_once_wherever_a_connection_dies) {
  for (std::size_t at = 0; at < 60; ++at) {
    for (cut how : {cut::before, cut::after, cut::during}) {
      world w;
      w.server->locked_rows.insert("7");
      std::size_t first = 0;
      w.server->cuts = [&](std::size_t number, const std::string& what) -> std::optional<cut> {
        if (first == 0) first = number;
        if (number != first + at) return std::nullopt;
        return how == cut::during && what != "COMMIT" ? cut::after : how;
      };
      std::size_t stored = 0;
      w.run([&](processor& p) -> task<void> {
        w.server->armed = true;
        task<void> unlocking = unlock_after(3s, *w.server);
        auto both = gather(process(p, numbers(20)), std::move(unlocking));
        auto [ends, nothing] = co_await std::move(both);
        for (const item_result& item : ends.items) {
          EXPECT_EQ(item.status, item_status::stored) << at;
          ++stored;
        }
        co_await sleep_for(1min);
      });
      EXPECT_EQ(stored, 20u);
      for (const std::string& item : numbers(20)) EXPECT_EQ(w.times_stored(item), 1u) << item << " at " << at;
    }
  }
}

}  // namespace penstock::ingest
