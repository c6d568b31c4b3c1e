#pragma once

// GoogleTest for asynchronous code: tests whose bodies are coroutines, run in virtual time, and fail when something is
// left behind. For tests with real sockets there is PENSTOCK_TEST_REAL_TIME.
//
//   PENSTOCK_TEST(mailbox, flushes_after_its_linger) {
//     mailbox box({.linger = 5s});
//     co_await box.post("a letter");
//     co_await sleep_and_settle(5s);
//     CO_ASSERT_EQ(box.delivered(), 1u);
//   }
//
// A test fails when its body throws (with the async traceback), when all its tasks wait and no timer is left, when a
// task, timer, lease, stream or simulated connection is left at its end, or when an error was retrieved by nobody. One
// that takes longer than a minute of real time ends the program with a list of its tasks; see `test_options`.
//
// A fixture is any class derived from `::testing::Test`, save those with parameters (`TestWithParam`): a table in the
// body, or a seed, does for them. Where it has them, `task<void> set_up()` and `task<void> tear_down()` run in one task
// with the body, tear_down also after a failure; and `test_options options()` sets the limits. After a deadlock, or a
// limit of the simulation that was reached, that task is gone, and tear_down runs in one of its own, for an hour of
// virtual time at most. Its members outlive the body: what they hold open must be closed in tear_down. A set_up or
// tear_down that looks whether something has failed asks `has_failure` of testing/test_run.h: GoogleTest's `HasFailure`
// sees nothing of a seed.

#include "penstock/async/task.h"
#include "penstock/async/timeout.h"
#include "penstock/testing/assertions.h"
#include "penstock/testing/settle.h"
#include "penstock/testing/test_run.h"

#include <memory>

#include <gtest/gtest.h>

#define PENSTOCK_TEST_CLASS_(suite, name) suite##_##name##_Test

#define PENSTOCK_TEST_(suite, name, fixture, base, run)                                                    \
  class PENSTOCK_TEST_CLASS_(suite, name) final : public ::penstock::testing::test_detail::base<fixture> { \
   public:                                                                                                 \
    ::penstock::task<void> penstock_body() override;                                                       \
    void TestBody() override {                                                                             \
      auto make = []() -> std::unique_ptr<::penstock::testing::test_detail::async_case> {                  \
        return std::make_unique<PENSTOCK_TEST_CLASS_(suite, name)>();                                      \
      };                                                                                                   \
      run;                                                                                                 \
    }                                                                                                      \
  };                                                                                                       \
  [[maybe_unused]] static ::testing::TestInfo* const penstock_registered_##suite##_##name =                \
      ::testing::RegisterTest(#suite, #name, nullptr, nullptr, __FILE__, __LINE__,                         \
                              []() -> fixture* { return new PENSTOCK_TEST_CLASS_(suite, name); });         \
  ::penstock::task<void> PENSTOCK_TEST_CLASS_(suite, name)::penstock_body()

/// A test whose body, a coroutine, runs in virtual time, its tasks first come, first served.
#define PENSTOCK_TEST(suite, name)                            \
  PENSTOCK_TEST_(suite, name, ::testing::Test, async_fixture, \
                 ::penstock::testing::test_detail::run_simulated(*this, make))
/// As PENSTOCK_TEST, in a fixture.
#define PENSTOCK_TEST_F(fixture, name) \
  PENSTOCK_TEST_(fixture, name, fixture, async_fixture, ::penstock::testing::test_detail::run_simulated(*this, make))

/// A test whose body runs once for each of `count` seeds, in another order each time, with random numbers of its own.
/// The first seed that fails ends it, and is reported with a line that runs it again. Environment variables steer it:
/// PENSTOCK_SEEDS=n runs so many, PENSTOCK_SEED_SECONDS=n as many as end in so much real time (a nightly run),
/// PENSTOCK_FIRST_SEED=n begins there, PENSTOCK_SEED=n runs that one alone, and PENSTOCK_SHRINK_SECONDS=n is how long a
/// simpler form of a failure is looked for (30; 0 for not at all).
#define PENSTOCK_TEST_SEEDS(suite, name, count) \
  PENSTOCK_TEST_(suite, name, ::testing::Test, seeds_fixture, ::penstock::testing::test_detail::run_seeds(count, make))
/// As PENSTOCK_TEST_SEEDS, in a fixture, which is made anew for each seed.
#define PENSTOCK_TEST_SEEDS_F(fixture, name, count) \
  PENSTOCK_TEST_(fixture, name, fixture, seeds_fixture, ::penstock::testing::test_detail::run_seeds(count, make))

/// A test whose body runs on an event loop, in real time, with real sockets and threads.
#define PENSTOCK_TEST_REAL_TIME(suite, name)                  \
  PENSTOCK_TEST_(suite, name, ::testing::Test, async_fixture, \
                 (static_cast<void>(make), ::penstock::testing::test_detail::run_in_real_time(*this)))
/// As PENSTOCK_TEST_REAL_TIME, in a fixture.
#define PENSTOCK_TEST_REAL_TIME_F(fixture, name)        \
  PENSTOCK_TEST_(fixture, name, fixture, async_fixture, \
                 (static_cast<void>(make), ::penstock::testing::test_detail::run_in_real_time(*this)))
