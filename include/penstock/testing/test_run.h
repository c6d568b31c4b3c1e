#pragma once

// How the test macros of testing/test.h run a test, and the limits they run it under.
//
//   class slow_backend : public ::testing::Test {
//    protected:
//     penstock::testing::test_options options() { return {.watchdog = 5min}; }
//   };
//   PENSTOCK_TEST_F(slow_backend, takes_its_time) { … }

#include "penstock/async/task.h"
#include "penstock/testing/simulation.h"

#include <chrono>
#include <functional>
#include <memory>
#include <source_location>
#include <utility>

#include <gtest/gtest.h>

namespace penstock::testing {

/// What a fixture's `options()` may set.
struct test_options {
  simulation_options simulation = {};  ///< Caps on virtual time and steps. PENSTOCK_TEST_SEEDS sets seed and order.
  /// Real time after which a test, or one seed of it, ends the program with a list of its tasks; zero for never. The
  /// environment variable PENSTOCK_WATCHDOG_SECONDS overrides it.
  std::chrono::seconds watchdog = std::chrono::seconds(60);
};

/// Whether the running test has failed so far, or its running seed under PENSTOCK_TEST_SEEDS: by an assertion, or,
/// asked in the tear-down, by how set-up or body ended (an exception, a deadlock, a cap that was reached). GoogleTest's
/// own `HasFailure` does not see what fails in a seed, which is reported after its run; inside the body of a test that
/// name is this function.
bool has_failure();
/// As `has_failure`, but for assertions that are not fatal.
bool has_fatal_failure();
/// As `has_failure`, for assertions that are not fatal only.
bool has_nonfatal_failure();

namespace test_detail {

// The parts of one test, which run in one task. Named so that they hide nothing of a fixture's.
class async_case {
 public:
  virtual ~async_case() = default;
  // Keeps what the test ran on until the fixture, whose members may have tasks there, is gone.
  void penstock_keep(std::shared_ptr<void> ran_on) noexcept { penstock_ran_on_ = std::move(ran_on); }
  virtual task<void> penstock_set_up() = 0;
  virtual task<void> penstock_body() = 0;
  virtual task<void> penstock_tear_down() = 0;
  virtual test_options penstock_options() = 0;
  // GoogleTest's own SetUp and TearDown, which it calls itself only for the object that it made.
  virtual void penstock_plain_set_up() = 0;
  virtual void penstock_plain_tear_down() = 0;

 private:
  std::shared_ptr<void> penstock_ran_on_;
};

// The fixture comes last: it is destroyed first.
template <class Fixture>
class async_fixture : public async_case, public Fixture {
 public:
  task<void> penstock_set_up() override {
    if constexpr (requires(async_fixture & f) { f.set_up(); }) return this->set_up();
    return nothing();
  }
  task<void> penstock_tear_down() override {
    if constexpr (requires(async_fixture & f) { f.tear_down(); }) return this->tear_down();
    return nothing();
  }
  test_options penstock_options() override {
    if constexpr (requires(async_fixture & f) { f.options(); }) return this->options();
    return {};
  }
  void penstock_plain_set_up() override { this->SetUp(); }
  void penstock_plain_tear_down() override { this->TearDown(); }

 protected:
  // In place of GoogleTest's, which see nothing of a seed.
  static bool HasFailure() { return has_failure(); }
  static bool HasFatalFailure() { return has_fatal_failure(); }
  static bool HasNonfatalFailure() { return has_nonfatal_failure(); }

 private:
  static task<void> nothing() { co_return; }
};

// GoogleTest makes one object for the whole test, which is not set up: each seed has one of its own.
template <class Fixture>
class seeds_fixture : public async_fixture<Fixture> {
 public:
  void penstock_plain_set_up() override { Fixture::SetUp(); }
  void penstock_plain_tear_down() override { Fixture::TearDown(); }

 protected:
  void SetUp() override {}
  void TearDown() override {}
};

using case_maker = std::function<std::unique_ptr<async_case>()>;

void run_simulated(async_case& test, const case_maker& again,
                   std::source_location where = std::source_location::current());
void run_seeds(int count, const case_maker& make, std::source_location where = std::source_location::current());
void run_in_real_time(async_case& test, std::source_location where = std::source_location::current());

}  // namespace test_detail
}  // namespace penstock::testing
