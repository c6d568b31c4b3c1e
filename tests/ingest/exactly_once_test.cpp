// Connections die at every operation in turn, in each way; whatever happens, an item that was acknowledged is stored
// once, and no other is stored twice.

#include "marked_database.h"
#include <penstock/async/cancel.h>
#include <penstock/async/gather.h>
#include <penstock/ingest/error.h>
#include <penstock/ingest/processor.h>
#include <penstock/observe/log_capture.h>
#include <penstock/observe/metrics.h>
#include <penstock/testing/simulation.h>

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

constexpr int clients = 3;
constexpr int items_of_a_client = 3;

struct run_result {
  std::vector<std::string> acknowledged;
  std::vector<std::string> unknown;
  std::vector<std::string> failed;
  std::string metrics;
};

std::string item_of(int client, int n) { return std::to_string(client * 100 + n); }

task<void> send_items(processor& to, int client, run_result& into) {
  for (int n = 0; n < items_of_a_client; ++n) {
    std::vector<std::string> one;
    one.push_back(item_of(client, n));
    task<batch_result> processing = to.process(std::move(one));
    batch_result r = co_await std::move(processing);
    const item_result& end = r.items.front();
    if (end.status == item_status::stored)
      into.acknowledged.push_back(item_of(client, n));
    else
      (end.error->code == "ingest.outcome_unknown" ? into.unknown : into.failed).push_back(item_of(client, n));
  }
}

// Some clients send items one by one through a processor on the server.
run_result send_all(std::shared_ptr<marked_server> server, duration retry = 10s) {
  run_result result;
  metrics::registry registry;
  penstock::testing::simulation sim;
  auto main = [&]() -> task<void> {
    processor_options options;
    options.max_batches = clients;
    options.commits.commits_in_flight = 2;
    options.commits.commit_retry = retry;
    processor p(db::database(std::make_shared<marked_driver>(server)), options, {}, &registry);
    co_await p.open();
    server->operations.clear();  // the numbers that a test goes by begin here
    server->armed = true;
    std::vector<task<void>> all;
    for (int c = 0; c < clients; ++c) all.push_back(send_items(p, c, result));
    co_await gather(std::move(all));
    co_await p.close();
    co_await sleep_for(1min);  // what the server still has under way
  };
  sim.run(main());
  result.metrics = registry.render();
  return result;
}

void expect_exactly_once(const marked_server& server, const run_result& r) {
  auto times_stored = [&](const std::string& item) {
    return std::count(server.stored.begin(), server.stored.end(), item);
  };
  for (const std::string& item : r.acknowledged) EXPECT_EQ(times_stored(item), 1) << item << " was acknowledged";
  for (const std::string& item : r.unknown) EXPECT_LE(times_stored(item), 1) << item << " is unknown";
  for (const std::string& item : r.failed) EXPECT_EQ(times_stored(item), 0) << item << " was said not to be stored";
  EXPECT_EQ(r.acknowledged.size() + r.unknown.size() + r.failed.size(),
            static_cast<std::size_t>(clients * items_of_a_client));
}

}  // namespace

TEST(exactly_once, nothing_is_left_of_a_writer_that_stopped) {
  auto server = std::make_shared<marked_server>();
  run_result r = send_all(server);
  expect_exactly_once(*server, r);
  EXPECT_EQ(r.acknowledged.size(), 9u);
  EXPECT_TRUE(server->markers.empty());
  EXPECT_NE(r.metrics.find("penstock_batch_rows_total{method=\"made up\",stream=\"items\"} 9"), std::string::npos)
      << r.metrics;
}

TEST(exactly_once, closing_waits_no_more_than_a_moment_for_a_server_that_says_nothing) {
  log::capture logged;
  auto server = std::make_shared<marked_server>();
  metrics::registry registry;
  penstock::testing::simulation sim;
  auto main = [&]() -> task<void> {
    processor p(db::database(std::make_shared<marked_driver>(server)), {}, {}, &registry);
    co_await p.open();
    run_result r;
    task<void> sending = send_items(p, 0, r);
    co_await std::move(sending);
    EXPECT_EQ(r.acknowledged.size(), 3u);
    server->latency = 24h;
    time_point start = scheduler::current().now();
    task<void> closing = p.close();
    co_await std::move(closing);
    EXPECT_LE(scheduler::current().now() - start, 10s);
  };
  sim.run(main());
  EXPECT_EQ(server->sessions, 0u);
  EXPECT_NE(logged.text().find("commit markers stay in the database"), std::string::npos) << logged.text();
}

// As on a primary whose standby does not have it yet, and is promoted.
TEST(exactly_once, a_commit_that_is_seen_is_believed_once_one_behind_it_is_answered) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  std::map<std::string, std::int64_t> on_standby;
  int commits = 0;
  server->cuts = [&](std::size_t, const std::string& what) -> std::optional<cut> {
    if (what != "COMMIT" || ++commits > 2) return std::nullopt;
    if (commits == 1) {
      on_standby = server->markers;
      return cut::after;
    }
    server->markers = on_standby;
    server->stored.clear();
    return cut::before;
  };
  penstock::testing::simulation sim;
  auto main = [&]() -> task<void> {
    processor p(db::database(std::make_shared<marked_driver>(server)), {});
    co_await p.open();
    server->armed = true;
    std::vector<std::string> one;
    one.push_back(item_of(0, 0));
    task<batch_result> processing = p.process(std::move(one));
    batch_result r = co_await std::move(processing);
    EXPECT_EQ(r.items.front().status, item_status::stored);
    EXPECT_EQ(server->stored.size(), 1u);
    co_await p.close();
  };
  sim.run(main());
}

TEST(exactly_once, a_commit_in_doubt_is_asked_for_again_though_nobody_is_let_in_for_a_moment) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  int commits = 0;
  server->cuts = [&](std::size_t, const std::string& what) -> std::optional<cut> {
    if (what != "COMMIT" || ++commits > 1) return std::nullopt;
    server->account_is_locked = true;
    return cut::after;
  };
  penstock::testing::simulation sim;
  auto main = [&]() -> task<void> {
    processor p(db::database(std::make_shared<marked_driver>(server)), {});
    co_await p.open();
    server->armed = true;
    run_result r;
    auto let_in = [&]() -> task<void> {
      co_await sleep_for(3s);
      server->account_is_locked = false;
    };
    co_await gather(send_items(p, 0, r), let_in());
    EXPECT_EQ(r.acknowledged.size(), 3u);
    EXPECT_EQ(server->stored.size(), 3u);
    co_await p.close();
  };
  sim.run(main());
}

class exactly_once_after : public ::testing::TestWithParam<cut> {};

TEST_P(exactly_once_after, any_one_operation_lost_its_connection) {
  log::capture quiet;
  bool reached = true;
  for (std::size_t k = 0; reached; ++k) {
    SCOPED_TRACE("operation " + std::to_string(k));
    auto server = std::make_shared<marked_server>();
    reached = false;
    server->cuts = [&](std::size_t number, const std::string&) {
      reached = reached || number == k;
      return number == k ? std::optional<cut>(GetParam()) : std::nullopt;
    };
    run_result r = send_all(server);
    expect_exactly_once(*server, r);
    EXPECT_EQ(r.acknowledged.size(), 9u) << "one lost connection is made up for";
  }
}

TEST_P(exactly_once_after, any_two_operations_lost_theirs) {
  log::capture quiet;
  bool reached = true;
  for (std::size_t k = 0; reached; ++k) {
    reached = false;
    for (std::size_t distance = 1; distance <= 12; ++distance) {
      SCOPED_TRACE("operations " + std::to_string(k) + " and " + std::to_string(k + distance));
      auto server = std::make_shared<marked_server>();
      server->cuts = [&](std::size_t number, const std::string&) {
        reached = reached || number == k;
        return number == k || number == k + distance ? std::optional<cut>(GetParam()) : std::nullopt;
      };
      run_result r = send_all(server);
      expect_exactly_once(*server, r);
      EXPECT_EQ(r.acknowledged.size(), 9u);
    }
  }
}

std::string name_of_cut(const ::testing::TestParamInfo<cut>& of) {
  if (of.param == cut::before) return "before_it_happened";
  return of.param == cut::after ? "when_it_had_happened" : "while_it_went_on";
}

INSTANTIATE_TEST_SUITE_P(, exactly_once_after, ::testing::Values(cut::before, cut::after, cut::during), name_of_cut);

TEST(exactly_once, a_commit_that_happened_is_found_and_not_repeated) {
  auto server = std::make_shared<marked_server>();
  bool first = true;
  server->cuts = [&](std::size_t, const std::string& what) {
    return what == "COMMIT" && std::exchange(first, false) ? std::optional<cut>(cut::after) : std::nullopt;
  };
  run_result r = send_all(server);
  expect_exactly_once(*server, r);
  EXPECT_EQ(server->inserted_rows, server->stored.size()) << "nothing was inserted twice";
  EXPECT_NE(r.metrics.find("penstock_ambiguous_commits_total{found=\"committed\",stream=\"items\"} 1"),
            std::string::npos);
}

TEST(exactly_once, a_commit_that_did_not_happen_is_repeated) {
  auto server = std::make_shared<marked_server>();
  bool first = true;
  server->cuts = [&](std::size_t, const std::string& what) {
    return what == "COMMIT" && std::exchange(first, false) ? std::optional<cut>(cut::before) : std::nullopt;
  };
  run_result r = send_all(server);
  expect_exactly_once(*server, r);
  EXPECT_NE(r.metrics.find("penstock_ambiguous_commits_total{found=\"not_committed\",stream=\"items\"} 1"),
            std::string::npos);
}

// As in a cluster: what was committed through another node arrives between two statements.
TEST(exactly_once, a_server_that_catches_up_while_it_is_asked_is_asked_again) {
  auto server = std::make_shared<marked_server>();
  enum class stage { before_the_cut, cut, behind, caught_up } now = stage::before_the_cut;
  std::map<std::string, std::int64_t> ahead;
  server->cuts = [&](std::size_t, const std::string& what) -> std::optional<cut> {
    if (now == stage::before_the_cut && what == "COMMIT") {
      now = stage::cut;
      return cut::before;
    }
    if (now == stage::cut && what == "UPDATE") {
      now = stage::behind;
      ahead = server->markers;
      for (auto& [writer, number] : server->markers) --number;
    } else if (now == stage::behind && what == "SELECT") {
      now = stage::caught_up;
      for (const auto& [writer, number] : ahead)
        if (server->markers[writer] == number - 1) server->markers[writer] = number;
    }
    return std::nullopt;
  };
  run_result r = send_all(server);
  expect_exactly_once(*server, r);
  EXPECT_EQ(now, stage::caught_up);
  EXPECT_EQ(r.acknowledged.size(), static_cast<std::size_t>(clients * items_of_a_client));
}

TEST(exactly_once, an_outcome_that_nobody_tells_in_time_is_said_to_be_unknown) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  server->cuts = [&](std::size_t, const std::string& what) {
    server->away = server->away || what == "COMMIT";
    return what == "COMMIT" ? std::optional<cut>(cut::after) : std::nullopt;
  };
  run_result r = send_all(server, 2s);
  expect_exactly_once(*server, r);
  EXPECT_GE(r.unknown.size(), 1u);
  EXPECT_EQ(r.acknowledged.size(), 0u);
}

TEST(exactly_once, an_outcome_in_doubt_when_all_is_cancelled_between_two_tries_is_said_to_be_unknown) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  server->cuts = [committed = false](std::size_t, const std::string& what) mutable -> std::optional<cut> {
    if (std::exchange(committed, committed || what == "COMMIT")) return cut::before;
    return committed ? std::optional<cut>(cut::after) : std::nullopt;
  };
  metrics::registry registry;
  batch_result r;
  penstock::testing::simulation sim;
  auto main = [&]() -> task<void> {
    auto serving = [&]() -> task<void> {
      processor p(db::database(std::make_shared<marked_driver>(server)), {}, {}, &registry);
      co_await p.open();
      server->armed = true;
      auto asking = [&]() -> task<void> {
        task<batch_result> processing = p.process(std::vector<std::string>(1, "1"));
        r = co_await std::move(processing);
      };
      task<void> to_its_end = shield(asking());  // who asks outlives the commits
      co_await std::move(to_its_end);
    };
    task<void> limited = with_timeout(1s, serving());
    co_await std::move(limited);
  };
  sim.run(main());
  EXPECT_EQ(server->stored.size(), 1u);
  ASSERT_EQ(r.counts.failed, 1u);
  EXPECT_EQ(r.items.front().error->code, "ingest.outcome_unknown");
}

TEST(exactly_once, a_marker_that_was_deleted_makes_the_outcome_unknown) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  bool first = true;
  server->cuts = [&](std::size_t, const std::string& what) -> std::optional<cut> {
    if (what != "COMMIT" || !std::exchange(first, false)) return std::nullopt;
    server->markers.clear();
    return cut::before;
  };
  run_result r = send_all(server);
  expect_exactly_once(*server, r);
  EXPECT_GE(r.unknown.size(), 1u);
}

TEST(exactly_once, a_marker_that_was_deleted_between_two_batches_is_made_again) {
  auto server = std::make_shared<marked_server>();
  bool deleted = false;
  server->cuts = [&](std::size_t number, const std::string& what) -> std::optional<cut> {
    if (what == "BEGIN" && number > 5 && !std::exchange(deleted, true)) server->markers.clear();
    return std::nullopt;
  };
  run_result r = send_all(server);
  expect_exactly_once(*server, r);
  EXPECT_TRUE(deleted);
  EXPECT_EQ(r.acknowledged.size(), 9u);
}

}  // namespace penstock::ingest
