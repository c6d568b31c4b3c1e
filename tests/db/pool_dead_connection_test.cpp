#include "fake_database.h"
#include <penstock/async/gather.h>

// Sessions that die, idle or leased, and sessions that come back dirty.

namespace penstock::db {
namespace {

task<void> run_query(pool& p, std::string sql) {
  pool::lease c = co_await p.acquire();
  co_await c->query(std::move(sql));
}

TEST(pool_dead_connection, one_that_died_while_idle_is_replaced_unseen) {
  with_fake_pool({}, [](pool& p, fake_server& server) -> task<> {
    co_await run_query(p, "before");
    server.restart();
    co_await sleep_for(p.options().validate_after_idle);
    co_await run_query(p, "after");
    EXPECT_EQ(server.connects, 2);
    EXPECT_EQ(server.pings, 1);
  });
}

TEST(pool_dead_connection, one_that_died_while_leased_fails_its_user_and_is_not_lent_again) {
  with_fake_pool({}, [](pool& p, fake_server& server) -> task<> {
    co_await run_query(p, "before");
    server.restart();
    task<std::optional<db_errc>> failed = failure_of(run_query(p, "during"));
    EXPECT_EQ(co_await std::move(failed), db_errc::connection_lost);
    co_await run_query(p, "after");
    EXPECT_EQ(server.connects, 2);
  });
}

TEST(pool_dead_connection, after_one_was_found_dead_the_others_are_checked_before_use) {
  with_fake_pool({.max_size = 5}, [](pool& p, fake_server& server) -> task<> {
    std::vector<task<void>> users;
    for (int i = 0; i < 5; ++i) users.push_back(run_query(p, "before"));
    co_await gather(std::move(users));
    server.restart();
    task<std::optional<db_errc>> failed = failure_of(run_query(p, "during"));
    EXPECT_EQ(co_await std::move(failed), db_errc::connection_lost);
    for (int i = 0; i < 5; ++i) co_await run_query(p, "after");  // throws if any got a dead one
  });
}

TEST(pool_dead_connection, a_waiter_gets_the_place_of_one_that_died) {
  with_fake_pool({.max_size = 1}, [](pool& p, fake_server& server) -> task<> {
    pool::lease held = co_await p.acquire();
    task_group waiting;
    waiting.start(run_query(p, "waited"));
    co_await sleep_for(1ms);
    held->close();
    held.release();
    co_await waiting.join();
    EXPECT_EQ(server.connects, 2);
  });
}

TEST(pool_dead_connection, a_discarded_lease_is_closed) {
  with_fake_pool({}, [](pool& p, fake_server& server) -> task<> {
    pool::lease c = co_await p.acquire();
    c.discard();
    EXPECT_FALSE(c);
    EXPECT_EQ(server.open, 0u);
    EXPECT_EQ(p.stats().in_use, 0u);
    co_await use(p, 0ms);
  });
}

TEST(pool_dead_connection, an_open_transaction_is_reset_before_the_next_user_has_it) {
  with_fake_pool({.max_size = 1}, [](pool& p, fake_server& server) -> task<> {
    pool::lease c = co_await p.acquire();
    co_await c->begin();
    c.release();
    EXPECT_EQ(server.resets, 0) << "giving back must take no time";
    co_await run_query(p, "next");
    EXPECT_EQ(server.resets, 1);
    EXPECT_EQ(server.connects, 1);
    EXPECT_EQ(server.statements, (std::vector<std::string>{"BEGIN", "RESET", "next"}));
  });
}

TEST(pool_dead_connection, settings_of_one_user_are_undone_before_the_next_user_has_the_session) {
  with_fake_pool({.max_size = 1}, [](pool& p, fake_server& server) -> task<> {
    co_await run_query(p, "SET x = 1");
    co_await run_query(p, "next");
    co_await run_query(p, "after");
    EXPECT_EQ(server.statements, (std::vector<std::string>{"SET x = 1", "RESET", "next", "after"}));
    EXPECT_EQ(server.connects, 1);
  });
}

TEST(pool_dead_connection, run_resets_a_dirty_session_with_nobody_asking) {
  with_kept_pool({}, [](pool& p, fake_server& server) -> task<> {
    pool::lease c = co_await p.acquire();
    co_await c->begin();
    c.release();
    co_await sleep_for(50ms);
    EXPECT_EQ(server.resets, 1);
    EXPECT_EQ(p.stats().idle, 1u);
  });
}

TEST(pool_dead_connection, one_that_cannot_be_reset_is_closed) {
  with_fake_pool({.max_size = 1}, [](pool& p, fake_server& server) -> task<> {
    server.resets_fail = true;
    pool::lease c = co_await p.acquire();
    co_await c->begin();
    c.release();
    co_await run_query(p, "next");
    EXPECT_EQ(server.connects, 2);
    EXPECT_EQ(server.open, 1u);
  });
}

// As one whose server has turned into a standby.
TEST(pool_dead_connection, one_that_is_answered_and_lost_all_the_same_is_replaced) {
  with_fake_pool({.max_size = 1}, [](pool& p, fake_server& server) -> task<> {
    co_await run_query(p, "before");
    co_await sleep_for(p.options().validate_after_idle);
    server.pings_find_it_lost = true;
    co_await run_query(p, "next");
    EXPECT_EQ(server.pings, 1);
    EXPECT_EQ(server.connects, 2);
  });
}

TEST(pool_dead_connection, whoever_was_given_one_that_died_is_still_served_before_later_ones) {
  with_fake_pool({.max_size = 2}, [](pool& p, fake_server& server) -> task<> {
    std::vector<task<void>> before;
    for (int i = 0; i < 2; ++i) before.push_back(run_query(p, "before"));
    co_await gather(std::move(before));
    co_await sleep_for(p.options().validate_after_idle);
    server.restart();
    std::vector<int> order;
    auto user = [&](int i) -> task<> {
      pool::lease c = co_await p.acquire();
      order.push_back(i);
      co_await sleep_for(1ms);
    };
    std::vector<task<void>> users;
    for (int i = 0; i < 4; ++i) users.push_back(user(i));
    co_await gather(std::move(users));
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  });
}

// As behind a firewall that forgets connections on which nothing is said for long.
TEST(pool_dead_connection, one_that_says_nothing_is_given_up_with_all_that_were_idle_for_as_long) {
  with_fake_pool({.min_size = 0, .max_size = 10}, [](pool& p, fake_server& server) -> task<> {
    std::vector<task<void>> users;
    for (int i = 0; i < 10; ++i) users.push_back(run_query(p, "before"));
    co_await gather(std::move(users));
    co_await sleep_for(p.options().validate_after_idle);
    server.latency = 1h;
    time_point asked = scheduler::current().now();
    pool::lease c = co_await p.acquire();
    EXPECT_EQ(scheduler::current().now() - asked, p.options().validation_timeout + server.connect_latency);
    EXPECT_EQ(server.pings, 1);
    EXPECT_EQ(server.open, 1u);
  });
}

// As when a large transaction is rolled back: that says nothing of the others.
TEST(pool_dead_connection, one_whose_reset_takes_too_long_goes_alone) {
  with_kept_pool({.min_size = 0, .max_size = 10}, [](pool& p, fake_server& server) -> task<> {
    std::vector<task<void>> users;
    for (int i = 0; i < 10; ++i) users.push_back(run_query(p, "before"));
    co_await gather(std::move(users));
    pool::lease c = co_await p.acquire();
    co_await c->begin();
    server.latency = 1h;
    c.release();
    co_await sleep_for(p.options().validation_timeout / 2);
    EXPECT_EQ(server.resets, 1);
    server.latency = 10ms;
    co_await sleep_for(p.options().validation_timeout);
    EXPECT_EQ(server.open, 9u);
    EXPECT_EQ(server.connects, 10);
  });
}

TEST(pool_dead_connection, one_that_does_not_answer_its_ping_is_given_up_in_time) {
  with_fake_pool({.acquire_timeout = 5s, .validation_timeout = 1s}, [](pool& p, fake_server& server) -> task<> {
    co_await run_query(p, "before");
    co_await sleep_for(10s);
    server.latency = 1h;
    time_point start = scheduler::current().now();
    co_await use(p, 0ms);
    EXPECT_EQ(scheduler::current().now() - start, 1s + 5ms);
    EXPECT_EQ(server.connects, 2);
  });
}

// It was used too short a time ago to be checked for that alone.
TEST(pool_dead_connection, after_upkeep_found_one_dead_the_others_are_checked_before_use) {
  const pool_options options{.max_size = 2, .validate_after_idle = 1min, .keepalive = 20s};
  with_kept_pool(options, [](pool& p, fake_server& server) -> task<> {
    pool::lease older = co_await p.acquire();
    pool::lease newer = co_await p.acquire();
    older.release();
    co_await sleep_for(15s);
    newer.release();
    server.restart();
    co_await sleep_for(6s);
    EXPECT_GE(server.pings, 1) << "nothing was looked after yet";
    co_await run_query(p, "after");  // throws if it got a dead one
  });
}

TEST(pool_dead_connection, a_lease_that_takes_the_place_of_another_gives_that_one_back) {
  with_fake_pool({.max_size = 2}, [](pool& p, fake_server&) -> task<> {
    pool::lease first = co_await p.acquire();
    pool::lease second = co_await p.acquire();
    first = std::move(second);
    EXPECT_EQ(p.stats().in_use, 1u);
    EXPECT_EQ(p.stats().idle, 1u);
    first.release();
    EXPECT_EQ(p.stats().idle, 2u);
  });
}

}  // namespace
}  // namespace penstock::db
