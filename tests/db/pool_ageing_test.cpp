#include "fake_database.h"
#include <penstock/async/gather.h>
#include <penstock/async/yield.h>
#include <penstock/observe/log_capture.h>
#include <penstock/observe/metrics.h>

#include <limits>

#include <gmock/gmock.h>

// What time does to a pool: idle and old sessions, keepalive, leases held for long.

namespace penstock::db {
namespace {

task<void> use_at_once(pool& p, int users, duration for_how_long) {
  std::vector<task<void>> all;
  for (int i = 0; i < users; ++i) all.push_back(use(p, for_how_long));
  co_await gather(std::move(all));
}

TEST(pool_ageing, run_fills_the_pool_to_min_size) {
  with_kept_pool({.min_size = 3, .max_size = 5}, [](pool& p, fake_server& server) -> task<> {
    co_await sleep_for(1s);
    EXPECT_EQ(p.stats().idle, 3u);
    EXPECT_EQ(server.connects, 3);
  });
}

TEST(pool_ageing, idle_sessions_are_closed_down_to_min_size) {
  with_kept_pool({.min_size = 2, .max_size = 8}, [](pool& p, fake_server&) -> task<> {
    co_await use_at_once(p, 8, 10ms);
    co_await sleep_for(p.options().idle_timeout - 1min);
    EXPECT_EQ(p.stats().idle, 8u);
    co_await sleep_for(2min);
    EXPECT_EQ(p.stats().idle, 2u);
  });
}

TEST(pool_ageing, sessions_are_replaced_at_the_end_of_their_life_and_not_together) {
  with_kept_pool({.min_size = 5, .max_size = 5}, [](pool& p, fake_server& server) -> task<> {
    co_await sleep_for(1s);
    co_await sleep_for(p.options().max_lifetime * 9 / 10 - 2s);
    EXPECT_EQ(server.connects, 5);
    std::size_t fewest = 5;
    for (int i = 0; i < 200; ++i) {
      co_await sleep_for(p.options().max_lifetime / 2'000);
      fewest = std::min(fewest, p.stats().idle);
    }
    EXPECT_EQ(server.connects, 10);
    EXPECT_GE(fewest, 3u);
    EXPECT_EQ(p.stats().idle, 5u);
  });
}

TEST(pool_ageing, a_short_life_is_kept_to_without_other_upkeep) {
  pool_options options{.min_size = 1, .max_lifetime = 10s};
  options.keepalive = options.idle_timeout = 0s;
  with_kept_pool(options, [](pool& p, fake_server& server) -> task<> {
    co_await sleep_for(1min);
    EXPECT_GE(server.connects, 6);
    EXPECT_LE(server.connects, 8);
    EXPECT_EQ(p.stats().idle, 1u);
  });
}

TEST(pool_ageing, a_leased_session_past_its_life_is_closed_when_it_comes_back) {
  with_kept_pool({.max_lifetime = 1min, .leak_after = 0s}, [](pool& p, fake_server& server) -> task<> {
    pool::lease c = co_await p.acquire();
    co_await sleep_for(5min);
    co_await c->query("still fine");
    c.release();
    co_await sleep_for(1s);
    EXPECT_EQ(server.connects, 2);
    EXPECT_EQ(p.stats().idle, 1u);
  });
}

TEST(pool_ageing, keepalive_pings_what_is_idle) {
  with_kept_pool({.idle_timeout = 0s, .keepalive = 1min}, [](pool& p, fake_server& server) -> task<> {
    co_await sleep_for(10min + 30s);
    EXPECT_EQ(server.pings, 10);
    EXPECT_EQ(p.stats().idle, 1u);
  });
}

TEST(pool_ageing, run_notices_sessions_that_died_and_replaces_them) {
  with_kept_pool({.min_size = 2}, [](pool& p, fake_server& server) -> task<> {
    co_await sleep_for(1s);
    server.restart();
    co_await sleep_for(p.options().keepalive + 1s);
    EXPECT_EQ(server.connects, 4);
    EXPECT_EQ(p.stats().idle, 2u);
  });
}

// The clock's range is not left, whatever is added.
TEST(pool_ageing, limits_as_long_as_can_be_said_are_none) {
  pool_options options;
  options.max_lifetime = options.idle_timeout = options.keepalive = options.leak_after = duration::max();
  with_kept_pool(options, [](pool& p, fake_server& server) -> task<> {
    pool::lease c = co_await p.acquire();
    co_await sleep_for(24h);
    c.release();
    co_await sleep_for(24h);
    EXPECT_EQ(server.connects, 1);
    EXPECT_EQ(p.stats().leaks, 0u);
  });
}

TEST(pool_ageing, more_sessions_than_any_server_has_are_refused) {
  database_error refused(db_errc::other, "");
  try {
    pool(database("sqlite::memory:"), {.max_size = std::numeric_limits<std::size_t>::max()});
  } catch (const database_error& e) {
    refused = e;
  }
  EXPECT_EQ(refused.errc(), db_errc::bad_options);
}

TEST(pool_leak, a_lease_held_for_long_is_reported_once_with_its_acquire_site) {
  log::capture logged;
  with_fake_pool({.leak_after = 30s}, [&](pool& p, fake_server&) -> task<> {
    int line = __LINE__ + 1;
    pool::lease c = co_await p.acquire();
    co_await sleep_for(29s);
    EXPECT_EQ(p.stats().leaks, 0u);
    co_await sleep_for(1h);
    EXPECT_EQ(p.stats().leaks, 1u);
    std::string site = "pool_ageing_test.cpp:" + std::to_string(line);
    EXPECT_THAT(logged.text(), ::testing::HasSubstr(site));
  });
}

TEST(pool_leak, each_lease_of_one_session_is_reported) {
  with_fake_pool({.max_size = 1, .leak_after = 30s}, [](pool& p, fake_server& server) -> task<> {
    for (std::uint64_t leaks : {1u, 2u, 3u}) {
      co_await use(p, 1min);
      EXPECT_EQ(p.stats().leaks, leaks);
    }
    EXPECT_EQ(server.connects, 1);
  });
}

TEST(pool_leak, each_lease_is_judged_by_its_own_time) {
  with_fake_pool({.leak_after = 30s}, [](pool& p, fake_server&) -> task<> {
    pool::lease quick = co_await p.acquire();
    co_await sleep_for(20s);
    pool::lease slow = co_await p.acquire();
    quick.release();
    co_await sleep_for(29s);
    EXPECT_EQ(p.stats().leaks, 0u);
    co_await sleep_for(1s);
    EXPECT_EQ(p.stats().leaks, 1u);
  });
}

TEST(pool_metrics, show_the_pool_by_name) {
  metrics::registry registry;
  with_fake_pool({.name = "shop", .max_size = 2, .registry = &registry}, [&](pool& p, fake_server&) -> task<> {
    pool::lease one = co_await p.acquire();
    co_await use(p, 1ms);
    std::string text = registry.render();
    for (const char* line : {"penstock_pool_in_use{pool=\"shop\"} 1", "penstock_pool_idle{pool=\"shop\"} 1",
                             "penstock_pool_waiting{pool=\"shop\"} 0", "penstock_pool_connects_total{pool=\"shop\"} 2",
                             "penstock_pool_acquire_seconds_count{pool=\"shop\"} 2"})
      EXPECT_THAT(text, ::testing::HasSubstr(line));
  });
}

TEST(pool_metrics, show_a_session_that_is_asked_as_none_that_is_free) {
  metrics::registry registry;
  auto shown = [&](const std::string& line) { return registry.render().find(line + "\n") != std::string::npos; };
  const pool_options options{.name = "shop", .max_size = 1, .registry = &registry};
  with_fake_pool(options, [&](pool& p, fake_server& server) -> task<> {
    co_await use(p, 1ms);
    EXPECT_TRUE(shown("penstock_pool_idle{pool=\"shop\"} 1"));
    co_await sleep_for(options.validate_after_idle + 1ms);
    task_group asking;
    asking.start(use(p, 1ms));
    while (server.pings == 0) co_await yield();
    EXPECT_EQ(p.stats().pending, 1u);
    EXPECT_TRUE(shown("penstock_pool_idle{pool=\"shop\"} 0"));
    co_await asking.join();
  });
}

TEST(pool_metrics, of_pools_of_one_name_are_added_up_and_end_with_them) {
  metrics::registry registry;
  auto shown = [&](const std::string& line) { return registry.render().find(line + "\n") != std::string::npos; };
  const pool_options options{.name = "shop", .max_size = 2, .registry = &registry};
  with_fake_pool(options, [&](pool& p, fake_server&) -> task<> {
    pool::lease one = co_await p.acquire();
    auto server = std::make_shared<fake_server>();
    std::optional<pool> other(std::in_place, database(std::make_shared<fake_driver>(server)), options);
    pool::lease two = co_await other->acquire();
    EXPECT_TRUE(shown("penstock_pool_in_use{pool=\"shop\"} 2"));
    two.release();
    EXPECT_TRUE(shown("penstock_pool_in_use{pool=\"shop\"} 1"));
    EXPECT_TRUE(shown("penstock_pool_idle{pool=\"shop\"} 1"));
    other.reset();
    EXPECT_TRUE(shown("penstock_pool_in_use{pool=\"shop\"} 1"));
    EXPECT_TRUE(shown("penstock_pool_idle{pool=\"shop\"} 0"));
  });
  EXPECT_TRUE(shown("penstock_pool_in_use{pool=\"shop\"} 0"));
}

}  // namespace
}  // namespace penstock::db
