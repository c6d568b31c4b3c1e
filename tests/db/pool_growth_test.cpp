#include "fake_database.h"
#include <penstock/async/gather.h>
#include <penstock/async/yield.h>

// A pool whose upkeep runs: it connects for those who wait.

namespace penstock::db {
namespace {

task<void> give_up_after(duration patience, task<void> t) {
  try {
    task<void> limited = with_timeout(patience, std::move(t));
    co_await std::move(limited);
  } catch (const timed_out&) {
  }
}

TEST(pool_growth, a_pool_grows_for_acquirers_that_give_up_sooner_than_a_connect_takes) {
  with_kept_pool({.min_size = 1, .max_size = 6}, [](pool& p, fake_server& server) -> task<> {
    server.connect_latency = 200ms;
    for (int round = 0; round < 10; ++round) {
      std::vector<task<void>> users;
      for (int i = 0; i < 12; ++i) users.push_back(give_up_after(100ms, use(p, 50ms)));
      co_await gather(std::move(users));
    }
    EXPECT_EQ(p.stats().idle, 6u);
    EXPECT_EQ(server.connects, 6);
  });
}

TEST(pool_growth, a_session_that_comes_back_serves_who_waits_for_a_connect) {
  with_kept_pool({.min_size = 0, .max_size = 2}, [](pool& p, fake_server& server) -> task<> {
    pool::lease held = co_await p.acquire();
    server.connect_latency = 1s;
    time_point start = scheduler::current().now();
    task_group users;
    users.start(use(p, 0ms));
    co_await sleep_for(10ms);
    EXPECT_EQ(p.stats().pending, 1u) << "nothing is opened for who waits";
    held.release();
    co_await users.join();
    EXPECT_EQ(scheduler::current().now() - start, 10ms);
    co_await sleep_for(1s);
    EXPECT_EQ(p.stats().idle, 2u) << "the session opened for it is lost";
  });
}

TEST(pool_growth, no_more_is_opened_than_acquirers_wait_for) {
  with_kept_pool({.min_size = 0, .max_size = 20}, [](pool& p, fake_server& server) -> task<> {
    std::vector<task<void>> users;
    for (int i = 0; i < 3; ++i) users.push_back(use(p, 10ms));
    co_await gather(std::move(users));
    EXPECT_EQ(server.connects, 3);
    users.clear();
    for (int i = 0; i < 1'000; ++i) users.push_back(use(p, 10ms));
    co_await gather(std::move(users));
    EXPECT_EQ(server.connects, 20);
  });
}

TEST(pool_growth, the_connects_for_several_go_on_beside_one_another) {
  with_kept_pool({.min_size = 0, .max_size = 5}, [](pool& p, fake_server& server) -> task<> {
    server.connect_latency = 100ms;
    time_point start = scheduler::current().now();
    std::vector<task<void>> users;
    for (int i = 0; i < 5; ++i) users.push_back(use(p, 0ms));
    co_await gather(std::move(users));
    EXPECT_EQ(scheduler::current().now() - start, 100ms);
  });
}

TEST(pool_growth, a_slow_check_of_an_idle_session_does_not_hold_a_connect_up) {
  with_kept_pool({.min_size = 1, .max_size = 2}, [](pool& p, fake_server& server) -> task<> {
    co_await sleep_for(p.options().keepalive - 1ms);
    server.latency = 1s;
    co_await sleep_for(10ms);
    EXPECT_EQ(server.pings, 1);
    time_point start = scheduler::current().now();
    co_await use(p, 0ms);
    EXPECT_EQ(scheduler::current().now() - start, server.connect_latency);
  });
}

TEST(pool_growth, a_refusal_for_good_is_told_to_all_who_wait) {
  with_kept_pool({.min_size = 0, .max_size = 2}, [](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::auth;
    time_point start = scheduler::current().now();
    std::vector<task<std::optional<db_errc>>> users;
    for (int i = 0; i < 5; ++i) users.push_back(failure_of(p.acquire()));
    std::vector<std::optional<db_errc>> failures = co_await gather(std::move(users));
    for (auto failure : failures) EXPECT_EQ(failure, db_errc::auth);
    EXPECT_EQ(scheduler::current().now() - start, server.connect_latency);
    server.refuses.reset();
    co_await use(p, 0ms);
  });
}

TEST(pool_growth, a_refusal_for_good_does_not_harm_who_can_be_served_by_a_session_that_is_there) {
  with_kept_pool({.min_size = 0, .max_size = 2}, [](pool& p, fake_server& server) -> task<> {
    pool::lease held = co_await p.acquire();
    server.refuses = db_errc::auth;
    task_group users;
    users.start(use(p, 0ms));
    co_await sleep_for(1s);
    EXPECT_GE(p.stats().connect_failures, 1u);
    EXPECT_EQ(p.stats().waiting, 1u);
    held.release();
    co_await users.join();
  });
}

TEST(pool_growth, who_waits_when_the_upkeep_ends_connects_by_itself) {
  with_fake_pool({.min_size = 0, .max_size = 2}, [](pool& p, fake_server& server) -> task<> {
    server.connect_latency = 100ms;
    task_group keeper;
    keeper.start_background(p.run());
    task_group users;
    users.start(use(p, 0ms));
    co_await sleep_for(10ms);
    EXPECT_EQ(server.connects, 1);
    keeper.cancel();
    co_await keeper.join();
    EXPECT_EQ(p.stats().waiting, 0u);
    co_await users.join();
    EXPECT_EQ(server.connects, 2);
  });
}

TEST(pool_growth, who_waits_for_a_session_that_can_be_opened_is_not_one_too_many) {
  with_kept_pool({.min_size = 0, .max_size = 2, .max_waiters = 0}, [](pool& p, fake_server&) -> task<> {
    co_await yield();
    task_group users;
    users.start(use(p, 10ms));
    users.start(use(p, 10ms));
    co_await yield();
    EXPECT_EQ(p.stats().waiting, 2u);
    task<std::optional<db_errc>> third = failure_of(p.acquire());
    EXPECT_EQ(co_await std::move(third), db_errc::pool_full);
    co_await users.join();
  });
}

TEST(pool_growth, a_pool_in_which_nobody_may_wait_comes_back_after_a_failed_connect) {
  with_kept_pool({.min_size = 0, .max_size = 2, .max_waiters = 0}, [](pool& p, fake_server& server) -> task<> {
    co_await yield();
    server.refuses = db_errc::connection_lost;
    task<void> first = give_up_after(10ms, use(p, 0ms));
    co_await std::move(first);
    EXPECT_TRUE(p.unreachable());
    server.refuses.reset();
    co_await sleep_for(p.options().reconnect_max);
    co_await use(p, 0ms);
    EXPECT_FALSE(p.unreachable());
  });
}

TEST(pool_growth, one_who_connects_for_itself_does_not_count_as_connecting_for_others) {
  with_fake_pool({.min_size = 0, .max_size = 2}, [](pool& p, fake_server& server) -> task<> {
    server.connect_latency = 1h;
    task_group users;
    users.start(use(p, 0ms));
    co_await sleep_for(1ms);
    server.connect_latency = 5ms;
    task_group keeper;
    keeper.start_background(p.run());
    co_await sleep_for(1ms);
    time_point start = scheduler::current().now();
    co_await use(p, 0ms);
    EXPECT_EQ(scheduler::current().now() - start, 5ms);
    co_await p.close();
    co_await keeper.join();
    try {
      co_await users.join();
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::pool_closed);
    }
  });
}

TEST(pool_growth, a_refusal_for_good_waits_for_the_connects_beside_it) {
  with_kept_pool({.min_size = 0, .max_size = 2}, [](pool& p, fake_server& server) -> task<> {
    server.connect_latency = 50ms;
    task_group users;
    users.start(use(p, 0ms));
    co_await sleep_for(1ms);
    server.connect_latency = 5ms;
    server.refuses = db_errc::auth;
    users.start(use(p, 0ms));
    co_await sleep_for(10ms);
    EXPECT_EQ(p.stats().connect_failures, 1u);
    server.refuses.reset();
    co_await users.join();
  });
}

TEST(pool_growth, a_pool_may_be_gone_before_its_upkeep_has_begun) {
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    auto p = std::make_unique<pool>(database(std::make_shared<fake_driver>(std::make_shared<fake_server>())));
    task<void> upkeep = p->run();
    p.reset();
    co_await std::move(upkeep);
  };
  sim.run(main());
}

TEST(pool_growth, closing_cuts_the_connects_short_and_turns_away_who_waits_for_them) {
  with_kept_pool({.min_size = 0, .max_size = 2}, [](pool& p, fake_server& server) -> task<> {
    server.connect_latency = 1s;
    std::optional<db_errc> failure;
    auto waiting = [&]() -> task<> {
      task<std::optional<db_errc>> failing = failure_of(p.acquire());
      failure = co_await std::move(failing);
    };
    task_group users;
    users.start(waiting());
    co_await sleep_for(10ms);
    time_point start = scheduler::current().now();
    co_await p.close();
    co_await users.join();
    EXPECT_EQ(failure, db_errc::pool_closed);
    EXPECT_EQ(scheduler::current().now(), start);
  });
}

TEST(pool_growth, a_connect_that_hangs_is_given_up_and_tried_again) {
  with_kept_pool({.min_size = 0, .connect_timeout = 1s}, [](pool& p, fake_server& server) -> task<> {
    server.connect_latency = 1h;
    task_group users;
    users.start(use(p, 0ms));
    co_await sleep_for(500ms);
    server.connect_latency = 5ms;
    co_await users.join();
    EXPECT_EQ(server.connects, 2);
  });
}

}  // namespace
}  // namespace penstock::db
