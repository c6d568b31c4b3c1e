#include "marked_database.h"
#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/core/traceback.h>
#include <penstock/ingest/error.h>
#include <penstock/ingest/processor.h>
#include <penstock/net/event_loop.h>
#include <penstock/observe/log_capture.h>
#include <penstock/observe/metrics.h>
#include <penstock/testing/simulation.h>

#include <algorithm>
#include <stdexcept>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

std::vector<std::string> numbered(int count) {
  std::vector<std::string> items;
  for (int i = 0; i < count; ++i) items.push_back("{\"n\":" + std::to_string(i) + "}");
  return items;
}

// A processor on a database in memory, open while `body` runs.
void with_processor_in_memory(processor_options options, processing_step step,
                              std::function<task<void>(processor&)> body) {
  net::run(with_processor(db::database("sqlite::memory:"), std::move(options), std::move(step), std::move(body)));
}

}  // namespace

TEST(processor, stores_a_batch_and_counts_it) {
  with_processor_in_memory({}, {}, [](processor& p) -> task<void> {
    auto running = p.process(numbered(2500));
    batch_result r = co_await std::move(running);
    EXPECT_EQ(r.counts.stored, 2500u);
    EXPECT_EQ(r.items.size(), 2500u);
    EXPECT_EQ(r.items[2499].index, 2499u);
    EXPECT_EQ(r.items[2499].id, 2500);
    EXPECT_EQ(p.processed_count(), 2500u);
  });
}

TEST(processor, runs_the_step_on_each_item_with_bounded_concurrency) {
  int running_now = 0;
  int most = 0;
  processor_options options;
  options.max_concurrency = 7;
  auto step = [&](std::string item) -> task<std::string> {
    most = std::max(most, ++running_now);
    co_await yield();
    --running_now;
    co_return "[" + item + "]";
  };
  with_processor_in_memory(options, step, [](processor& p) -> task<void> {
    auto running = p.process(numbered(100));
    batch_result r = co_await std::move(running);
    EXPECT_EQ(r.counts.stored, 100u);
  });
  EXPECT_EQ(most, 7);
}

TEST(processor, an_item_whose_step_throws_is_rejected_alone_and_its_traceback_logged) {
  log::capture logged;
  auto step = [](std::string item) -> task<std::string> {
    co_await yield();
    if (item == "{\"n\":1}") throw std::runtime_error("no such customer");
    co_return item;
  };
  with_processor_in_memory({}, step, [](processor& p) -> task<void> {
    auto items = numbered(3);
    items.push_back("{broken");
    auto running = p.process(std::move(items));
    batch_result r = co_await std::move(running);
    EXPECT_EQ(r.counts.stored, 2u);
    EXPECT_EQ(r.counts.rejected, 2u);
    EXPECT_EQ(r.items[1].error->code, "item.step_failed");
    EXPECT_NE(r.items[1].error->message.find("no such customer"), std::string::npos);
    EXPECT_EQ(r.items[3].error->code, "item.syntax");
  });
  EXPECT_NE(logged.text().find("no such customer"), std::string::npos);
  EXPECT_NE(logged.text().find("processor_test.cpp"), std::string::npos);
}

TEST(processor, refuses_a_batch_when_busy_under_reject) {
  processor_options options;
  options.when_busy = admission::reject;
  with_processor_in_memory(options, {}, [](processor& p) -> task<void> {
    auto both = gather_settled(p.process(numbered(10)), p.process(numbered(10)));
    auto [first, second] = co_await std::move(both);
    EXPECT_TRUE(first.has_value());
    const error* refused = second.error_as<error>();
    EXPECT_TRUE(refused != nullptr && refused->is(ingest_errc::busy));
    EXPECT_NE(refused->message().find("busy"), std::string::npos);
    auto again = p.process(numbered(10));
    co_await std::move(again);
    EXPECT_EQ(p.processed_count(), 20u);
  });
}

TEST(processor, waits_its_turn_under_wait) {
  with_processor_in_memory({}, {}, [](processor& p) -> task<void> {
    auto all = gather(p.process(numbered(10)), p.process(numbered(20)), p.process(numbered(30)));
    auto [a, b, c] = co_await std::move(all);
    EXPECT_EQ(a.counts.stored + b.counts.stored + c.counts.stored, 60u);
    EXPECT_FALSE(p.busy());
  });
}

TEST(processor, takes_one_batch_at_a_time_when_told_none) {
  for (admission how : {admission::wait, admission::reject}) {
    processor_options options;
    options.max_batches = 0;
    options.when_busy = how;
    with_processor_in_memory(options, {}, [how](processor& p) -> task<void> {
      EXPECT_FALSE(p.busy());
      auto both = gather_settled(p.process(numbered(10)), p.process(numbered(10)));
      auto [first, second] = co_await std::move(both);
      EXPECT_TRUE(first.has_value());
      EXPECT_EQ(second.has_value(), how == admission::wait);
      if (second.has_value()) co_return;
      EXPECT_EQ(second.error_as<error>()->message(),
                "processor 'items' is busy with 1 of at most 1 batches: try again later");
    });
  }
}

TEST(processor, takes_nothing_before_it_is_open_and_after_it_is_closed) {
  net::run([]() -> task<void> {
    processor p(db::database("sqlite::memory:"));
    auto early = gather_settled(p.process(numbered(1)), p.process(numbered(1)));
    auto [before, too] = co_await std::move(early);
    EXPECT_TRUE(before.error_as<error>()->is(ingest_errc::closed));
    co_await p.open();
    co_await p.close();
    co_await p.close();
    auto late = gather_settled(p.process(numbered(1)), p.process(numbered(1)));
    auto [after, also] = co_await std::move(late);
    EXPECT_TRUE(after.error_as<error>()->is(ingest_errc::closed));
  }());
}

TEST(processor, closing_waits_for_the_batch_under_way) {
  net::run([]() -> task<void> {
    processor p(db::database("sqlite::memory:"));
    co_await p.open();
    auto both = gather(p.process(numbered(5000)), p.close());
    auto [r, nothing] = co_await std::move(both);
    EXPECT_EQ(r.counts.stored, 5000u);
    EXPECT_EQ(p.processed_count(), 5000u);
  }());
}

TEST(processor, is_closed_on_the_way_of_an_exception) {
  processor* seen = nullptr;
  EXPECT_THROW(with_processor_in_memory({}, {},
                                        [&](processor& p) -> task<void> {
                                          seen = &p;
                                          co_await yield();
                                          throw std::runtime_error("body");
                                        }),
               std::runtime_error);
  EXPECT_NE(seen, nullptr);
}

TEST(processor, items_of_a_cancelled_batch_count_when_they_are_committed) {
  auto server = std::make_shared<marked_server>();
  metrics::registry registry;
  penstock::testing::simulation sim;
  auto main = [&]() -> task<void> {
    processor p(db::database(std::make_shared<marked_driver>(server)), {}, {}, &registry);
    co_await p.open();
    for (int i = 0; i < 2; ++i) {
      task<batch_result> limited = with_timeout(2ms, p.process(numbered(3)));
      EXPECT_THROW(co_await std::move(limited), timed_out);
      EXPECT_EQ(server->stored.size(), 3u * i);
      if (i == 0) co_await sleep_for(1s);
      EXPECT_EQ(p.processed_count(), 3u);
    }
    co_await p.close();
    EXPECT_EQ(server->stored.size(), 6u);
    EXPECT_EQ(p.counts().stored, 6u);
  };
  sim.run(main());
  EXPECT_NE(registry.render().find("penstock_items_total{result=\"stored\",stream=\"items\"} 6"), std::string::npos);
}

TEST(processor, what_waits_is_shown_beside_an_idle_one_of_its_stream_and_taken_back_at_the_end) {
  auto server = std::make_shared<marked_server>();
  metrics::registry registry;
  auto shown = [&](const std::string& line) { return registry.render().find(line + "\n") != std::string::npos; };
  penstock::testing::simulation sim;
  auto main = [&]() -> task<void> {
    processor p(db::database(std::make_shared<marked_driver>(server)), {}, {}, &registry);
    processor idle(db::database(std::make_shared<marked_driver>(server)), {}, {}, &registry);
    co_await p.open();
    co_await idle.open();
    task<batch_result> limited = with_timeout(2ms, p.process(numbered(3)));
    EXPECT_THROW(co_await std::move(limited), timed_out);
    EXPECT_TRUE(shown("penstock_queue_rows{stream=\"items\"} 3"));
    co_await idle.close();
    co_await p.close();
  };
  sim.run(main());
  EXPECT_TRUE(shown("penstock_queue_rows{stream=\"items\"} 0"));
  EXPECT_TRUE(shown("penstock_queue_bytes{stream=\"items\"} 0"));
}

TEST(processor, a_cancelled_batch_leaves_it_usable) {
  auto step = [](std::string item) -> task<std::string> {
    if (item == "{\"n\":5}") co_await sleep_for(std::chrono::hours(1));
    co_return item;
  };
  with_processor_in_memory({}, step, [](processor& p) -> task<void> {
    bool late = false;
    try {
      auto stuck = with_timeout(std::chrono::milliseconds(5), p.process(numbered(10)));
      co_await std::move(stuck);
    } catch (const timed_out&) {
      late = true;
    }
    EXPECT_TRUE(late);
    auto running = p.process(numbered(5));
    batch_result r = co_await std::move(running);
    EXPECT_EQ(r.counts.stored, 5u);
  });
}

}  // namespace penstock::ingest
