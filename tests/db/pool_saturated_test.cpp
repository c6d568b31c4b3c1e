#include "fake_database.h"
#include <penstock/async/gather.h>
#include <penstock/async/yield.h>

// More acquirers than sessions.

namespace penstock::db {
namespace {

TEST(pool_saturated, never_opens_more_than_max_size) {
  with_fake_pool({.max_size = 3}, [](pool& p, fake_server& server) -> task<> {
    std::vector<task<void>> users;
    for (int i = 0; i < 50; ++i) users.push_back(use(p, 20ms));
    co_await gather(std::move(users));
    EXPECT_EQ(server.most_open, 3u);
    EXPECT_EQ(server.connects, 3);
    EXPECT_EQ(p.stats().idle, 3u);
  });
}

TEST(pool_saturated, serves_acquirers_in_the_order_they_came) {
  with_fake_pool({.max_size = 2}, [](pool& p, fake_server&) -> task<> {
    std::vector<int> order;
    auto user = [&](int i) -> task<> {
      pool::lease c = co_await p.acquire();
      order.push_back(i);
      co_await sleep_for(i % 3 * 1ms);
    };
    std::vector<task<void>> users;
    for (int i = 0; i < 40; ++i) users.push_back(user(i));
    co_await gather(std::move(users));
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  });
}

TEST(pool_saturated, a_newcomer_does_not_overtake_one_who_was_woken) {
  with_fake_pool({.max_size = 1}, [](pool& p, fake_server&) -> task<> {
    std::vector<std::string> order;
    auto user = [&](std::string name) -> task<> {
      pool::lease c = co_await p.acquire();
      order.push_back(name);
    };
    pool::lease held = co_await p.acquire();
    task_group users;
    users.start(user("waited"));
    co_await sleep_for(1ms);
    held.release();  // the waiter is queued to run, and has not run yet
    task<void> newcomer = user("newcomer");
    co_await std::move(newcomer);
    co_await users.join();
    EXPECT_EQ(order, (std::vector<std::string>{"waited", "newcomer"}));
  });
}

TEST(pool_saturated, an_acquirer_times_out_and_learns_why) {
  with_fake_pool({.max_size = 1, .acquire_timeout = 100ms}, [](pool& p, fake_server&) -> task<> {
    pool::lease held = co_await p.acquire();
    time_point start = scheduler::current().now();
    try {
      pool::lease second = co_await p.acquire();
      ADD_FAILURE() << "acquired a second lease of a pool of one";
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::pool_timeout);
      EXPECT_NE(e.message().find("'fake:shop'"), std::string::npos) << e.message();
      EXPECT_NE(e.message().find("1 of 1 are in use"), std::string::npos) << e.message();
    }
    EXPECT_EQ(scheduler::current().now() - start, 100ms);
    EXPECT_EQ(p.stats().timeouts, 1u);
    EXPECT_EQ(p.stats().waiting, 0u);
  });
}

TEST(pool_saturated, one_more_than_max_waiters_is_refused_at_once) {
  with_fake_pool({.max_size = 1, .max_waiters = 2}, [](pool& p, fake_server&) -> task<> {
    pool::lease held = co_await p.acquire();
    task_group waiters;
    waiters.start(use(p, 0ms));
    waiters.start(use(p, 0ms));
    co_await yield();
    EXPECT_EQ(p.stats().waiting, 2u);
    time_point start = scheduler::current().now();
    task<std::optional<db_errc>> refused = failure_of(p.acquire());
    EXPECT_EQ(co_await std::move(refused), db_errc::pool_full);
    EXPECT_EQ(scheduler::current().now(), start);
    EXPECT_EQ(p.stats().refused, 1u);
    held.release();
    co_await waiters.join();
  });
}

TEST(pool_saturated, a_free_session_is_lent_without_a_wait) {
  with_fake_pool({}, [](pool& p, fake_server& server) -> task<> {
    co_await use(p, 0ms);
    time_point start = scheduler::current().now();
    for (int i = 0; i < 10; ++i) co_await use(p, 0ms);
    EXPECT_EQ(scheduler::current().now(), start);
    EXPECT_EQ(server.connects, 1);
    EXPECT_EQ(server.pings, 0);
  });
}

TEST(pool_saturated, contradicting_options_are_refused) {
  database nowhere(std::make_shared<fake_driver>(std::make_shared<fake_server>()));
  EXPECT_THROW(pool(nowhere, {.max_size = 0}), database_error);
  EXPECT_THROW(pool(nowhere, {.min_size = 3, .max_size = 2}), database_error);
}

}  // namespace
}  // namespace penstock::db
