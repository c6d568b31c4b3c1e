#include "fake_database.h"
#include <penstock/async/gather.h>
#include <penstock/core/traceback.h>
#include <penstock/observe/log_capture.h>

#include <string_view>

// A database that can't be reached, refuses, or takes only so many sessions.

namespace penstock::db {
namespace {

TEST(pool_connect_failure, an_acquirer_outlasts_a_short_outage) {
  with_fake_pool({}, [](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::connection_lost;
    task_group group;
    auto heal = [&]() -> task<> {
      co_await sleep_for(2s);
      server.refuses.reset();
    };
    group.start(heal());
    co_await use(p, 1ms);
    EXPECT_GE(scheduler::current().now().time_since_epoch() - duration(1h), 2s);
    EXPECT_EQ(p.stats().connects, 1u);
    EXPECT_GE(p.stats().connect_failures, 3u);
    EXPECT_LE(p.stats().connect_failures, 12u) << "the pauses between attempts do not grow";
    co_await group.join();
  });
}

TEST(pool_connect_failure, a_long_outage_ends_in_a_timeout_whose_cause_is_the_refusal) {
  with_fake_pool({.name = "orders", .acquire_timeout = 1s}, [](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::connection_lost;
    try {
      co_await use(p, 1ms);
      ADD_FAILURE() << "acquired from a dead database";
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::pool_timeout);
      EXPECT_NE(e.message().find("'orders'"), std::string::npos);
      EXPECT_NE(e.message().find("can't be reached"), std::string::npos) << e.message();
      EXPECT_NE(describe(e.cause()).find("db.connection_lost"), std::string::npos);
    }
  });
}

TEST(pool_connect_failure, a_refusal_for_good_is_reported_at_once) {
  with_fake_pool({}, [](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::auth;
    time_point start = scheduler::current().now();
    task<std::optional<db_errc>> failed = failure_of(p.acquire());
    EXPECT_EQ(co_await std::move(failed), db_errc::auth);
    EXPECT_EQ(scheduler::current().now() - start, 5ms);
  });
}

// One of a user's own, say.
TEST(pool_connect_failure, a_driver_that_gives_no_session_is_told_so) {
  struct forgetful_driver final : driver {
    std::string called = "forgetful:shop";
    const std::string& name() const noexcept override { return called; }
    task<std::unique_ptr<connection>> connect() override { co_return nullptr; }
  };
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    pool p(database(std::make_shared<forgetful_driver>()), {});
    try {
      co_await use(p, 1ms);
      ADD_FAILURE() << "acquired nothing";
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::other);
      EXPECT_NE(e.message().find("forgetful:shop: the driver's connect gave no session"), std::string::npos)
          << e.message();
    }
    co_await p.close();
  };
  sim.run(main());
}

TEST(pool_connect_failure, the_pool_is_alive_again_after_any_outage) {
  with_kept_pool({.min_size = 2, .max_size = 4, .acquire_timeout = 1s}, [](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::connection_lost;
    server.restart();
    std::vector<task<std::optional<db_errc>>> hopeless;
    for (int i = 0; i < 20; ++i) hopeless.push_back(failure_of(p.acquire()));
    std::vector<std::optional<db_errc>> failures = co_await gather(std::move(hopeless));
    for (auto failure : failures) EXPECT_EQ(failure, db_errc::pool_timeout);
    co_await sleep_for(1h);
    EXPECT_LT(server.connects, 2'000) << "it storms a database that is away";
    server.refuses.reset();
    co_await sleep_for(p.options().reconnect_max + 1s);
    EXPECT_EQ(p.stats().idle, 2u) << "filled again with nobody asking";
    std::vector<task<void>> users;
    for (int i = 0; i < 20; ++i) users.push_back(use(p, 1ms));
    co_await gather(std::move(users));
  });
}

// The acquirer's attempt counts towards min_size, and the keeper has gone to rest when it fails.
TEST(pool_connect_failure, a_refusal_for_good_leaves_it_to_the_keeper_to_connect_once_it_is_mended) {
  with_kept_pool({.min_size = 1, .max_size = 1, .keepalive = 2min}, [](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::auth;
    server.restart();
    task<std::optional<db_errc>> failing = failure_of(p.acquire());
    EXPECT_EQ(co_await std::move(failing), db_errc::auth);
    server.refuses.reset();
    co_await sleep_for(p.options().reconnect_max + 1s);
    EXPECT_EQ(p.stats().idle, 1u);
  });
}

TEST(pool_connect_failure, acquirers_share_what_the_server_grants) {
  with_fake_pool({.max_size = 10}, [](pool& p, fake_server& server) -> task<> {
    server.most_sessions = 3;
    std::vector<task<void>> users;
    for (int i = 0; i < 60; ++i) users.push_back(use(p, 20ms));
    co_await gather(std::move(users));
    EXPECT_EQ(server.most_open, 3u);
    EXPECT_EQ(p.stats().timeouts, 0u);
  });
}

TEST(pool_connect_failure, only_one_attempt_is_made_at_a_time_while_the_database_is_away) {
  with_fake_pool({.max_size = 10, .acquire_timeout = 3s}, [](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::connection_lost;
    std::vector<task<std::optional<db_errc>>> waiting;
    for (int i = 0; i < 100; ++i) waiting.push_back(failure_of(p.acquire()));
    co_await gather(std::move(waiting));
    EXPECT_LE(server.connects, 10 + 3'000 / 50);
  });
}

TEST(pool_connect_failure, a_connect_that_hangs_is_given_up_and_tried_again) {
  with_fake_pool({.connect_timeout = 1s}, [](pool& p, fake_server& server) -> task<> {
    server.connect_latency = 1h;
    task_group group;
    auto heal = [&]() -> task<> {
      co_await sleep_for(500ms);
      server.connect_latency = 5ms;
    };
    group.start(heal());
    co_await use(p, 0ms);
    EXPECT_EQ(server.connects, 2);
    co_await group.join();
  });
}

TEST(pool_connect_failure, whoever_is_not_to_wait_for_its_end_is_refused_at_once) {
  for (bool kept : {false, true}) {
    auto body = [](pool& p, fake_server& server) -> task<> {
      server.refuses = db_errc::connection_lost;
      server.restart();
      time_point start = scheduler::current().now();
      std::vector<task<std::optional<db_errc>>> hopeless;
      for (int i = 0; i < 20; ++i) hopeless.push_back(failure_of(use(p, 1ms)));
      std::vector<std::optional<db_errc>> failures = co_await gather(std::move(hopeless));
      for (auto failure : failures) EXPECT_EQ(failure, db_errc::connection_lost);
      EXPECT_LT(scheduler::current().now() - start, 1s);
      server.refuses.reset();
      co_await sleep_for(p.options().reconnect_max + 1s);
      co_await use(p, 1ms);
    };
    pool_options options{.min_size = 2, .max_size = 4, .acquire_timeout = 1min, .refuse_when_unreachable = true};
    kept ? with_kept_pool(options, body) : with_fake_pool(options, body);
  }
}

TEST(pool_connect_failure, a_connect_that_takes_too_long_is_told_as_that_to_whoever_is_refused) {
  pool_options options{.acquire_timeout = 1min, .connect_timeout = 2s, .refuse_when_unreachable = true};
  with_fake_pool(options, [](pool& p, fake_server& server) -> task<> {
    server.connect_latency = 1h;
    std::string said;
    try {
      co_await use(p, 1ms);
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::connection_lost);
      said = e.what();
    }
    EXPECT_NE(said.find("within 2s, the pool's connect_timeout"), std::string::npos) << said;
  });
}

std::size_t times_said(const log::capture& logged, std::string_view what) {
  std::string text = logged.text();
  std::size_t times = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++times;
  return times;
}

TEST(pool_connect_failure, an_outage_is_logged_every_few_seconds_and_its_end_once) {
  log::capture logged;
  pool_options options{.acquire_timeout = 1min};
  options.reconnect_max = 100ms;
  with_fake_pool(options, [&](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::connection_lost;
    task_group group;
    auto heal = [&]() -> task<> {
      co_await sleep_for(21s);
      server.refuses.reset();
    };
    group.start(heal());
    co_await use(p, 1ms);
    co_await group.join();
    EXPECT_GT(p.stats().connect_failures, 100u);
    EXPECT_EQ(times_said(logged, "could not connect to the database"), 5u);
    EXPECT_EQ(times_said(logged, "connected to the database again"), 1u);
  });
}

TEST(pool_connect_failure, one_that_is_over_holds_no_connects_up) {
  with_fake_pool({.max_size = 3}, [](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::connection_lost;
    task_group group;
    auto heal = [&]() -> task<> {
      co_await sleep_for(1s);
      server.refuses.reset();
    };
    group.start(heal());
    pool::lease held = co_await p.acquire();
    server.connect_latency = 100ms;
    time_point start = scheduler::current().now();
    std::vector<task<void>> users;
    for (int i = 0; i < 2; ++i) users.push_back(use(p, 1s));
    co_await gather(std::move(users));
    EXPECT_EQ(scheduler::current().now() - start, 1s + 100ms) << "they connect one after another";
    EXPECT_FALSE(p.unreachable());
    co_await group.join();
  });
}

TEST(pool_connect_failure, one_that_is_over_is_no_longer_why_an_acquirer_times_out) {
  with_fake_pool({.max_size = 1, .acquire_timeout = 2s}, [](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::connection_lost;
    task<std::optional<db_errc>> failing = failure_of(p.acquire());
    EXPECT_EQ(co_await std::move(failing), db_errc::pool_timeout);
    server.refuses.reset();
    pool::lease held = co_await p.acquire();
    std::string said;
    try {
      co_await use(p, 0ms);
    } catch (const database_error& e) {
      said = e.message();
      EXPECT_FALSE(e.cause());
    }
    EXPECT_NE(said.find("1 of 1 are in use"), std::string::npos) << said;
  });
}

// Of those that wait, one tries. Without upkeep nobody else opens sessions for the others.
TEST(pool_connect_failure, once_one_connects_again_so_do_all_that_wait) {
  with_fake_pool({.max_size = 3}, [](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::connection_lost;
    time_point start = scheduler::current().now();
    task_group users;
    for (int i = 0; i < 3; ++i) users.start(use(p, 10s));
    co_await sleep_for(1s);
    server.refuses.reset();
    co_await users.join();
    EXPECT_LT(scheduler::current().now() - start, 1s + p.options().reconnect_max + 11s);
    EXPECT_EQ(p.stats().idle, 3u);
  });
}

}  // namespace
}  // namespace penstock::db
