#include "fake_database.h"
#include <penstock/async/yield.h>
#include <penstock/observe/log_capture.h>

#include <gmock/gmock.h>

// Closing, whatever is under way.

namespace penstock::db {
namespace {

TEST(pool_close, waits_for_leases) {
  with_fake_pool({}, [](pool& p, fake_server& server) -> task<> {
    task_group users;
    users.start(use(p, 3s));
    co_await sleep_for(1s);
    time_point start = scheduler::current().now();
    co_await p.close();
    EXPECT_EQ(scheduler::current().now() - start, 2s + 5ms);
    EXPECT_EQ(server.open, 0u);
    co_await users.join();
  });
}

TEST(pool_close, gives_up_on_a_lease_after_close_timeout_and_names_it) {
  log::capture logged;
  with_fake_pool({.close_timeout = 2s}, [&](pool& p, fake_server& server) -> task<> {
    pool::lease held = co_await p.acquire();
    time_point start = scheduler::current().now();
    co_await p.close();
    EXPECT_EQ(scheduler::current().now() - start, 2s);
    EXPECT_THAT(logged.text(), ::testing::HasSubstr("pool_close_test.cpp"));
    co_await held->query("the lease is still good");
    held.release();
    EXPECT_EQ(server.open, 0u);
  });
}

TEST(pool_close, turns_away_those_who_wait) {
  with_fake_pool({.max_size = 1}, [](pool& p, fake_server&) -> task<> {
    pool::lease held = co_await p.acquire();
    std::optional<db_errc> failure;
    task_group waiting;
    auto wait = [&]() -> task<> { failure = co_await failure_of(p.acquire()); };
    waiting.start(wait());
    co_await sleep_for(1ms);
    time_point start = scheduler::current().now();
    waiting.start(p.close());
    co_await sleep_for(1ms);
    EXPECT_EQ(failure, db_errc::pool_closed);
    held.release();
    co_await waiting.join();
    EXPECT_EQ(scheduler::current().now() - start, 1ms);
  });
}

TEST(pool_close, cuts_a_connect_short) {
  with_fake_pool({}, [](pool& p, fake_server& server) -> task<> {
    server.connect_latency = 2s;
    std::optional<db_errc> failure;
    task_group connecting;
    auto connect = [&]() -> task<> { failure = co_await failure_of(p.acquire()); };
    connecting.start(connect());
    co_await sleep_for(1s);
    time_point start = scheduler::current().now();
    co_await p.close();
    co_await connecting.join();
    EXPECT_EQ(scheduler::current().now(), start);
    EXPECT_EQ(failure, db_errc::pool_closed);
  });
}

TEST(pool_close, ends_run_in_the_middle_of_its_work) {
  for (duration when : {duration(0), duration(1ms), duration(7ms), duration(1s)})
    with_fake_pool({.min_size = 3}, [&](pool& p, fake_server&) -> task<> {
      task_group keeper;
      keeper.start(p.run());
      co_await sleep_for(when);
      co_await p.close();
      co_await keeper.join();
    });
}

TEST(pool_close, later_acquirers_are_refused_and_a_second_close_does_nothing) {
  with_fake_pool({}, [](pool& p, fake_server&) -> task<> {
    co_await use(p, 0ms);
    co_await p.close();
    EXPECT_TRUE(p.closed());
    task<std::optional<db_errc>> refused = failure_of(p.acquire());
    EXPECT_EQ(co_await std::move(refused), db_errc::pool_closed);
    co_await p.close();
  });
}

TEST(pool_close, a_lease_may_outlive_its_pool) {
  auto server = std::make_shared<fake_server>();
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    pool::lease survivor;
    {
      pool p(database(std::make_shared<fake_driver>(server)));
      survivor = co_await p.acquire();
    }
    co_await survivor->query("nobody pulled the rug");
  };
  sim.run(main());
  EXPECT_EQ(server->open, 0u);
}

TEST(pool_close, a_lease_may_outlive_its_loop) {
  auto server = std::make_shared<fake_server>();
  pool::lease survivor;
  {
    penstock::testing::simulation sim;
    auto main = [&]() -> task<pool::lease> {
      pool p(database(std::make_shared<fake_driver>(server)));
      co_return co_await p.acquire();
    };
    survivor = sim.run(main());
  }
  survivor.release();
  EXPECT_EQ(server->open, 0u);
}

// What with_pool's body does, on every way out.
void expect_closed_after(const std::function<task<int>(pool&)>& body, const char* expected_error) {
  auto server = std::make_shared<fake_server>();
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    std::string error;
    try {
      task<int> scoped = with_pool(database(std::make_shared<fake_driver>(server)), {.min_size = 2}, body);
      task<int> limited = with_timeout(1min, std::move(scoped));
      int answer = co_await std::move(limited);
      EXPECT_EQ(answer, 42);
    } catch (const std::exception& e) {
      error = e.what();
    }
    EXPECT_THAT(error, ::testing::HasSubstr(expected_error));
    EXPECT_EQ(server->open, 0u) << "the pool was not closed";
  };
  sim.run(main());
}

TEST(pool_scope, is_closed_when_its_body_ends) {
  expect_closed_after(
      [](pool& p) -> task<int> {
        co_await use(p, 1s);
        co_return 42;
      },
      "");
}

TEST(pool_scope, is_closed_when_its_body_throws) {
  expect_closed_after(
      [](pool& p) -> task<int> {
        pool::lease c = co_await p.acquire();
        throw std::runtime_error("no such customer");
      },
      "no such customer");
}

TEST(pool_scope, is_closed_when_it_is_cancelled) {
  expect_closed_after(
      [](pool& p) -> task<int> {
        pool::lease c = co_await p.acquire();
        co_await sleep_for(1h);
        co_return 1;
      },
      "not done within");
}

TEST(pool_close, who_was_given_a_session_just_before_gets_none) {
  with_fake_pool({.max_size = 1}, [](pool& p, fake_server&) -> task<> {
    pool::lease held = co_await p.acquire();
    std::optional<db_errc> failed;
    auto wait_for_one = [&]() -> task<> {
      task<std::optional<db_errc>> acquiring = failure_of(p.acquire());
      failed = co_await std::move(acquiring);
    };
    task_group waiting;
    waiting.start(wait_for_one());
    co_await sleep_for(1ms);
    held.release();
    co_await p.close();
    co_await waiting.join();
    EXPECT_EQ(failed, db_errc::pool_closed);
  });
}

}  // namespace
}  // namespace penstock::db
