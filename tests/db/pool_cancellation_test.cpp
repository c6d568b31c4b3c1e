#include "fake_database.h"
#include <penstock/async/gather.h>
#include <penstock/async/yield.h>

// Acquirers and users that are cancelled, at any moment.

namespace penstock::db {
namespace {

// Cancelled at 0, 1, 2 … ms, until one run is over before its cancel: so at every wait of the body.
template <class Body>
void cancel_at_every_wait(const pool_options& options, bool kept, Body body) {
  bool cut = true;
  for (int ms = 0; cut; ++ms) {
    ASSERT_LT(ms, 1'000) << "it never ends";
    auto run = [&](pool& p, fake_server& server) -> task<> {
      cut = false;
      try {
        task<void> limited = with_timeout(std::chrono::milliseconds(ms), body(p, server));
        co_await std::move(limited);
      } catch (const timed_out&) {
        cut = true;
      }
      pool_stats after = p.stats();
      EXPECT_EQ(after.in_use + after.waiting, 0u) << "cancelled at " << ms << " ms";
      if (!kept) {  // a connect of the upkeep goes on
        EXPECT_EQ(after.pending, 0u) << "cancelled at " << ms << " ms";
      }
      std::vector<task<void>> users;
      for (std::size_t i = 0; i < 2 * options.max_size; ++i) users.push_back(use(p, 1ms));
      co_await gather(std::move(users));
      EXPECT_LE(server.most_open, options.max_size);
    };
    kept ? with_kept_pool(options, run) : with_fake_pool(options, run);
  }
}

// With the pool's upkeep and without it.
template <class Body>
void cancel_at_every_wait(const pool_options& options, Body body) {
  cancel_at_every_wait(options, false, body);
  cancel_at_every_wait(options, true, body);
}

TEST(pool_cancellation, of_an_acquirer_that_connects_loses_nothing) {
  cancel_at_every_wait({.max_size = 1}, [](pool& p, fake_server&) { return use(p, 3ms); });
}

TEST(pool_cancellation, of_an_acquirer_that_waits_loses_nothing) {
  cancel_at_every_wait({.max_size = 1}, [](pool& p, fake_server&) -> task<> {
    std::vector<task<void>> users;
    for (int i = 0; i < 4; ++i) users.push_back(use(p, 3ms));
    co_await gather(std::move(users));
  });
}

TEST(pool_cancellation, of_an_acquirer_that_resets_or_pings_loses_nothing) {
  cancel_at_every_wait({.max_size = 1, .validate_after_idle = 0s}, [](pool& p, fake_server&) -> task<> {
    for (int i = 0; i < 2; ++i) {
      pool::lease c = co_await p.acquire();
      co_await c->begin();
    }
    co_await use(p, 1ms);
    co_await use(p, 1ms);
  });
}

TEST(pool_cancellation, of_an_acquirer_that_waits_for_the_database_to_come_back_loses_nothing) {
  cancel_at_every_wait({.max_size = 2}, [](pool& p, fake_server& server) -> task<> {
    server.refuses = db_errc::connection_lost;
    auto heal = [&]() -> task<> {
      try {
        co_await sleep_for(300ms);
      } catch (const operation_cancelled&) {
        server.refuses.reset();
        throw;
      }
      server.refuses.reset();
    };
    co_await with_task_group([&](task_group& inside) -> task<> {
      inside.start(use(p, 1ms));
      inside.start(use(p, 1ms));
      inside.start(heal());
      co_return;
    });
  });
}

TEST(pool_cancellation, a_query_that_was_cut_short_leaves_no_dirty_session) {
  cancel_at_every_wait({.max_size = 1}, [](pool& p, fake_server&) -> task<> {
    pool::lease c = co_await p.acquire();
    co_await c->query("one");
    co_await c->query("two");
  });
}

TEST(pool_cancellation, one_woken_and_cancelled_in_the_same_turn_passes_its_session_on) {
  with_fake_pool({.max_size = 1}, [](pool& p, fake_server&) -> task<> {
    pool::lease held = co_await p.acquire();
    cancel_scope doomed;
    int served = 0;
    auto user = [&]() -> task<> {
      pool::lease c = co_await p.acquire();
      co_await sleep_for(1ms);
      ++served;
    };
    auto cancelled_user = [&]() -> task<> {
      try {
        task<void> scoped = doomed.run(user());
        co_await std::move(scoped);
      } catch (const operation_cancelled&) {
      }
    };
    task_group group;
    group.start(cancelled_user());
    group.start(user());
    co_await yield();
    co_await yield();
    EXPECT_EQ(p.stats().waiting, 2u);
    held.release();
    doomed.cancel();
    co_await group.join();
    EXPECT_EQ(served, 1);
  });
}

TEST(pool_cancellation, a_waiting_task_that_is_destroyed_leaves_the_queue) {
  auto server = std::make_shared<fake_server>();
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    pool p(database(std::make_shared<fake_driver>(server)), {.max_size = 1});
    pool::lease held = co_await p.acquire();
    {
      task_group abandoned;  // not joined: its members are destroyed where they wait
      abandoned.start(use(p, 1ms));
      abandoned.start(use(p, 1ms));
      co_await sleep_for(1ms);
      EXPECT_EQ(p.stats().waiting, 2u);
      held.release();  // the first is woken, and destroyed before it runs
    }
    EXPECT_EQ(p.stats().waiting, 0u);
    EXPECT_EQ(p.stats().idle, 1u);
    co_await use(p, 1ms);
    co_await p.close();
  };
  sim.run(main());
  EXPECT_EQ(server->open, 0u);
}

}  // namespace
}  // namespace penstock::db
