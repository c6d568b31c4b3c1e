// Sending, in virtual time, to a server that is made up.

#include "load_sender_world.h"
#include <penstock/async/cancel.h>
#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace penstock::app::load {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

TEST(load_sender, sends_everything_with_so_many_requests_in_flight) {
  world w(20, {.concurrency = 3});
  w.run();
  EXPECT_EQ(w.result.counts().stored, 20u);
  EXPECT_EQ(w.attempts, 20u);
  EXPECT_EQ(w.most_in_flight, 3u);
  EXPECT_EQ(w.stopped, "");
  EXPECT_FALSE(w.result.wrote_rejects());
}

TEST(load_sender, sends_a_refused_batch_again_under_the_same_key) {
  world w(1);
  w.serve = [](std::size_t n) {
    return n < 3 ? attempt{.status = 503} : attempt{.status = 200, .body = all_stored(1)};
  };
  w.run();
  EXPECT_EQ(w.result.counts().stored, 1u);
  EXPECT_EQ(w.result.counts().retries, 2u);
  ASSERT_EQ(w.keys_by_item["1"].size(), 3u);
  EXPECT_EQ(w.keys_by_item["1"].front(), w.keys_by_item["1"].back());
}

TEST(load_sender, keys_differ_from_batch_to_batch) {
  world w(2);
  w.run();
  EXPECT_NE(w.keys_by_item["1"], w.keys_by_item["2"]);
}

TEST(load_sender, a_lost_batch_that_is_not_sent_again_is_unknown_and_the_next_ones_go_on) {
  world w(10, {.concurrency = 1, .retry = {.retry_for = 0s}});
  w.serve = [](std::size_t n) {
    return n == 2 ? attempt{.how = attempt::end::lost, .why = "connection reset"}
                  : attempt{.status = 200, .body = all_stored(1)};
  };
  w.run();
  EXPECT_EQ(w.attempts, 10u);
  EXPECT_EQ(w.result.counts().stored, 9u);
  EXPECT_EQ(w.result.counts().unknown, 1u);
  EXPECT_THAT(w.result.first_rejections(), Contains("file lines 2 to 2: load.outcome_unknown: connection reset"));
}

TEST(load_sender, an_unreachable_server_ends_the_load_after_its_time) {
  world w(100, {.concurrency = 2, .retry = {.retry_for = 30s}});
  w.serve = [](std::size_t) { return attempt{.how = attempt::end::not_sent, .why = "connection refused"}; };
  w.run();
  EXPECT_EQ(w.stopped, "connection refused");
  EXPECT_EQ(w.result.counts().stored, 0u);
  EXPECT_EQ(w.result.counts().not_sent, 2u);
  EXPECT_EQ(w.result.last_place(), "file line 2");
  EXPECT_GE(w.sim.elapsed(), 30s);
  EXPECT_LT(w.sim.elapsed(), 45s);
}

TEST(load_sender, a_refusal_for_good_ends_the_load_at_once) {
  world w(100, {.concurrency = 1});
  w.serve = [](std::size_t) { return attempt{.status = 404, .body = R"({"code":"x.y","detail":"no stream 'z'"})"}; };
  w.run();
  EXPECT_EQ(w.attempts, 1u);
  EXPECT_EQ(w.stopped, "404 Not Found (x.y): no stream 'z'");
  EXPECT_EQ(w.result.counts().not_sent, 1u);
}

TEST(load_sender, a_lost_batch_is_sent_again_under_the_same_key) {
  world w(1);
  w.serve = [](std::size_t n) {
    return n == 1 ? attempt{.how = attempt::end::lost} : attempt{.status = 200, .body = all_stored(1)};
  };
  w.run();
  EXPECT_EQ(w.result.counts().stored, 1u);
  ASSERT_EQ(w.keys_by_item["1"].size(), 2u);
  EXPECT_EQ(w.keys_by_item["1"].front(), w.keys_by_item["1"].back());
}

// Answers 413 beyond so many items, and notes what it stored.
struct small_server {
  std::size_t most_items;
  std::vector<std::string> stored = {};
  std::vector<std::size_t> sizes = {};

  attempt operator()(const batch& sent) {
    sizes.push_back(sent.items.size());
    if (sent.items.size() > most_items) return {.status = 413, .body = R"({"code":"x.large","detail":"too many"})"};
    for (std::size_t i = 0; i < sent.items.size(); ++i) {
      stored.emplace_back(sent.text_of(i));
      EXPECT_EQ(std::to_string(sent.items[i].line), stored.back());
    }
    return {.status = 200, .body = all_stored(sent.items.size())};
  }
};

TEST(load_sender, a_batch_too_large_for_the_server_goes_in_parts_and_so_do_the_next_ones) {
  world w(3, {.concurrency = 1});
  w.items_a_batch = 10;
  small_server server{.most_items = 3};
  w.serve_batch = std::ref(server);
  w.run();
  EXPECT_EQ(w.stopped, "");
  EXPECT_EQ(w.result.counts().stored, 30u);
  EXPECT_EQ(w.result.counts().items(), 30u);
  ASSERT_EQ(server.stored.size(), 30u);
  for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ(server.stored[i], std::to_string(i + 1));
  std::vector<std::size_t> first_sizes(server.sizes.begin(), server.sizes.begin() + 3);
  EXPECT_EQ(first_sizes, (std::vector<std::size_t>{10, 5, 2}));
  EXPECT_EQ(std::count(server.sizes.begin(), server.sizes.end(), std::size_t{10}), 1);
}

TEST(load_sender, an_item_too_large_for_the_server_is_rejected_alone) {
  world w(1, {.concurrency = 1});
  w.items_a_batch = 4;
  std::vector<std::string> stored;
  w.serve_batch = [&](const batch& sent) {
    for (std::size_t i = 0; i < sent.items.size(); ++i)
      if (sent.text_of(i) == "3") return attempt{.status = 413, .body = R"({"code":"x.large","detail":"too long"})"};
    for (std::size_t i = 0; i < sent.items.size(); ++i) stored.emplace_back(sent.text_of(i));
    return attempt{.status = 200, .body = all_stored(sent.items.size())};
  };
  w.run();
  EXPECT_EQ(w.stopped, "");
  EXPECT_EQ(stored, (std::vector<std::string>{"1", "2", "4"}));
  EXPECT_EQ(w.result.counts().rejected, 1u);
  EXPECT_EQ(w.result.counts().items(), 4u);
  EXPECT_THAT(w.result.first_rejections(),
              Contains("file line 3: load.too_large: 413 Content Too Large (x.large): too long"));
}

// Parts grow again behind it, so that the rest of a long file does not go item by item.
TEST(load_sender, an_item_too_large_for_the_server_slows_the_next_ones_for_a_while_only) {
  world w(60, {.concurrency = 1});
  w.items_a_batch = 64;
  std::vector<std::size_t> sizes;
  w.serve_batch = [&](const batch& sent) {
    sizes.push_back(sent.items.size());
    for (std::size_t i = 0; i < sent.items.size(); ++i)
      if (sent.text_of(i) == "100") return attempt{.status = 413, .body = R"({"code":"x.large","detail":"too long"})"};
    return attempt{.status = 200, .body = all_stored(sent.items.size())};
  };
  w.run();
  EXPECT_EQ(w.result.counts().rejected, 1u);
  EXPECT_EQ(w.result.counts().stored, 60u * 64u - 1u);
  EXPECT_EQ(std::count(sizes.begin(), sizes.end(), std::size_t{1}), 1 + 16 + 1);  // it, and the rest of its batch
  EXPECT_EQ(sizes.back(), 64u);
  EXPECT_LE(sizes.size(), 60u + 6u * 16u + 10u);
}

TEST(load_sender, each_item_of_a_batch_in_parts_counts_once_when_the_load_ends) {
  enum class end { refused, stopped, cancelled };
  for (end how : {end::refused, end::stopped, end::cancelled}) {
    world w(1, {.concurrency = 1}, 1s);
    w.items_a_batch = 8;
    small_server server{.most_items = 2};
    std::size_t calls = 0;
    w.serve_batch = [&](const batch& sent) {
      // The third is the first that it takes.
      return ++calls == 4 && how == end::refused ? attempt{.status = 401} : server(sent);
    };
    sender s = w.make();
    auto end_it = [&]() -> task<> {
      auto soon = sleep_for(3500ms);
      co_await soon;
      if (how == end::stopped) s.stop("enough");
    };
    if (how == end::cancelled)
      EXPECT_THROW(w.sim.run(with_timeout(3500ms, s.run())), timed_out);
    else
      w.sim.run(gather(s.run(), end_it()));
    const totals& t = w.result.counts();
    EXPECT_EQ(t.stored, how == end::stopped ? 4u : 2u);
    EXPECT_EQ(t.unknown, how == end::cancelled ? 2u : 0u);
    EXPECT_EQ(t.items(), 8u);
    EXPECT_EQ(w.attempts, 4u);
  }
}

TEST(load_sender, eight_unknown_outcomes_in_a_row_end_the_load) {
  world w(100, {.concurrency = 1, .retry = {.retry_for = 0s}});
  w.serve = [](std::size_t) { return attempt{.status = 500}; };
  w.run();
  EXPECT_EQ(w.result.counts().unknown, 8u);
  EXPECT_THAT(w.stopped, HasSubstr("500"));
}

TEST(load_sender, an_answer_that_does_not_add_up_is_unknown) {
  world w(1);
  w.serve = [](std::size_t) { return attempt{.status = 200, .body = all_stored(2)}; };
  w.run();
  EXPECT_EQ(w.result.counts().stored, 0u);
  EXPECT_EQ(w.result.counts().unknown, 1u);
}

TEST(load_sender, stopping_waits_for_what_is_in_flight_and_sends_no_more) {
  world w(100, {.concurrency = 2}, 1s);
  sender s = w.make();
  auto stop_soon = [&]() -> task<> {
    auto soon = sleep_for(500ms);
    co_await soon;
    s.stop("enough");
  };
  w.sim.run(gather(s.run(), stop_soon()));
  EXPECT_EQ(w.result.counts().stored, 2u);
  EXPECT_EQ(w.result.counts().items(), 2u);
  EXPECT_EQ(w.attempts, 2u);
  EXPECT_EQ(w.result.last_place(), "file line 2");
  EXPECT_EQ(w.result.last_item(), 2u);
}

TEST(load_sender, rejects_that_can_not_be_written_stop_it_with_everything_counted) {
  world w(100, {.concurrency = 3});
  w.serve = [](std::size_t) {
    return attempt{.status = 200,
                   .body = R"({"stored":0,"rejected":1,"duplicates":0,)"
                           R"("results":[{"index":0,"error":{}}]})"};
  };
  report nowhere({"file"}, "/nonexistent/rejects");
  sender s([&w](batch& into) { return w.fill(into); },
           [&w](const batch& b, const std::string& key) { return w.post(b, key); }, w.options, nowhere, w.reading);
  w.sim.run(s.run());
  EXPECT_EQ(w.attempts, 3u);
  EXPECT_EQ(nowhere.counts().rejected, 3u);
  EXPECT_EQ(nowhere.counts().items(), 3u);
  EXPECT_EQ(nowhere.missing_rejects(), 3u);
  EXPECT_EQ(nowhere.first_missing_reject(), "file line 1");
  EXPECT_THAT(s.stopped_because(), HasSubstr("/nonexistent/rejects: open"));
}

TEST(load_sender, stopping_gives_up_what_waits_to_be_sent_again) {
  world w(100, {.concurrency = 1, .retry = {.retry_for = 1h, .first_wait = 1min}});
  w.serve = [](std::size_t) { return attempt{.status = 503}; };
  sender s = w.make();
  auto stop_soon = [&]() -> task<> {
    auto soon = sleep_for(1s);
    co_await soon;
    s.stop("enough");
  };
  w.sim.run(gather(s.run(), stop_soon()));
  EXPECT_EQ(w.result.counts().not_sent, 1u);
  EXPECT_EQ(w.attempts, 1u);
  EXPECT_LT(w.sim.elapsed(), 2s);
}

TEST(load_sender, cancelling_reports_what_was_in_flight_as_unknown) {
  world w(100, {.concurrency = 2}, 1h);
  sender s = w.make();
  EXPECT_THROW(w.sim.run(with_timeout(1s, s.run())), timed_out);
  EXPECT_EQ(w.result.counts().unknown, 2u);
  EXPECT_EQ(w.in_flight, 0u);
}

}  // namespace
}  // namespace penstock::app::load
