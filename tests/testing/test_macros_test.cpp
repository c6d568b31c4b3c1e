#include "failing_case.h"
#include <penstock/async/event.h>
#include <penstock/async/on_worker.h>
#include <penstock/async/task_group.h>
#include <penstock/net/event_loop.h>
#include <penstock/testing/simulation.h>
#include <penstock/testing/test.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::testing {
namespace {

PENSTOCK_TEST(test_macros, a_body_runs_in_virtual_time) {
  time_point start = scheduler::current().now();
  co_await sleep_for(24h);
  EXPECT_EQ(scheduler::current().now() - start, 24h);
  EXPECT_NE(simulation::current_or_null(), nullptr);
}

TEST(test_macros, mix_with_plain_tests_in_one_suite) { EXPECT_EQ(simulation::current_or_null(), nullptr); }

PENSTOCK_TEST_REAL_TIME(test_macros, a_real_time_body_runs_on_an_event_loop) {
  net::event_loop::current();
  int answer = co_await on_worker([] { return 42; });
  EXPECT_EQ(answer, 42);
}

std::vector<std::uint64_t> seeds_seen;

PENSTOCK_TEST_SEEDS(test_macros_seeds, run_a_body_for_each_seed, 20) {
  seeds_seen.push_back(simulation::current().options().seed);
  co_return;
}

TEST(test_macros_seeds, some_are_run_twice_to_compare) {
  // 20 seeds, of which number 1 and number 17 are run twice.
  if (seeds_seen.empty()) GTEST_SKIP() << "looks at what the test before it did";
  EXPECT_EQ(seeds_seen.size(), 22u);
  EXPECT_EQ(seeds_seen.front(), 1u);
  EXPECT_EQ(seeds_seen.back(), 20u);
}

// Members of a fixture are used by all three parts, in one task.
class in_one_task : public ::testing::Test {
 protected:
  void SetUp() override { steps_.emplace_back("SetUp"); }
  void TearDown() override { EXPECT_EQ(steps_, (std::vector<std::string>{"SetUp", "set_up", "body", "tear_down"})); }
  task<void> set_up() {
    co_await sleep_for(1s);
    scope_ = penstock::detail::current_scope;
    steps_.emplace_back("set_up");
  }
  task<void> tear_down() {
    co_await sleep_for(1s);
    EXPECT_EQ(penstock::detail::current_scope, scope_);
    steps_.emplace_back("tear_down");
  }
  test_options options() { return {.simulation = {.seed = 77}}; }

  std::vector<std::string> steps_;
  penstock::detail::scope_state* scope_ = nullptr;
};

PENSTOCK_TEST_F(in_one_task, set_up_body_and_tear_down) {
  EXPECT_EQ(penstock::detail::current_scope, scope_);
  EXPECT_EQ(simulation::current().options().seed, 77u);
  steps_.emplace_back("body");
  co_return;
}

PENSTOCK_TEST_SEEDS_F(in_one_task, is_made_anew_for_each_seed, 3) {
  EXPECT_EQ(steps_.size(), 2u);
  steps_.emplace_back("body");
  co_return;
}

class without_async_parts : public ::testing::Test {
 protected:
  int value_ = 42;
};

PENSTOCK_TEST_F(without_async_parts, any_fixture_will_do) {
  EXPECT_EQ(value_, 42);
  co_return;
}

task<void> inner() {
  co_await sleep_for(1s);
  throw error(async_errc::no_tasks, "nothing to do");
}

// As lambda_case, with a tear-down that can be seen.
class torn_down final : public test_detail::async_case {
 public:
  explicit torn_down(bool& done, bool in_set_up) : done_(done), in_set_up_(in_set_up) {}
  task<void> penstock_set_up() override {
    if (in_set_up_) throw error(async_errc::no_tasks, "set-up went wrong");
    co_return;
  }
  task<void> penstock_body() override {
    EXPECT_FALSE(in_set_up_) << "a body ran after its set-up had failed";
    co_await sleep_for(1s);
    throw error(async_errc::no_tasks, "the body went wrong");
  }
  task<void> penstock_tear_down() override {
    co_await sleep_for(1s);
    done_ = has_failure() && has_fatal_failure() && !has_nonfatal_failure();
    throw error(async_errc::no_tasks, "so did the tear-down");
  }
  test_options penstock_options() override { return {}; }
  void penstock_plain_set_up() override {}
  void penstock_plain_tear_down() override {}

 private:
  bool& done_;
  bool in_set_up_;
};

TEST(test_macros, a_tear_down_runs_after_a_failure_too_and_hides_none) {
  for (bool in_set_up : {false, true}) {
    bool done = false;
    std::string text = failures_of([&] {
      torn_down test(done, in_set_up);
      test_detail::run_simulated(test, nullptr);
    });
    EXPECT_TRUE(done);
    EXPECT_TRUE(contains(text, in_set_up ? "set-up went wrong" : "the body went wrong"));
    EXPECT_TRUE(contains(text, "so did the tear-down"));
  }
}

// A service in a member, and a body that is cut short.
class cut_short_case final : public test_detail::async_case {
 public:
  enum class end { stops_service, forgets_service, fails, waits_for_ever };
  cut_short_case(lambda_case::part body, end at_end) : body_(std::move(body)), at_end_(at_end) {}

  task<void> penstock_set_up() override {
    service_.emplace();
    service_->start(serve(), "service");
    co_return;
  }
  task<void> penstock_body() override { return body_(); }
  task<void> penstock_tear_down() override {
    co_await sleep_for(1s);
    if (at_end_ == end::fails) throw error(async_errc::no_tasks, "so did the tear-down");
    if (at_end_ == end::forgets_service) co_return;
    if (at_end_ == end::stops_service) service_->cancel();
    task<void> stopping = service_->join();
    co_await std::move(stopping);
    service_.reset();
  }
  test_options penstock_options() override { return {.simulation = {.most_time = 24h}}; }
  void penstock_plain_set_up() override {}
  void penstock_plain_tear_down() override {}
  bool stopped() const noexcept { return !service_.has_value(); }

 private:
  task<void> serve() { co_await never_.wait(); }

  lambda_case::part body_;
  end at_end_;
  event never_;
  std::optional<task_group> service_;
};

task<void> deadlocks() {
  event never;
  co_await never.wait();
}
task<void> sleeps_for_ever() {
  for (;;) co_await sleep_for(1h);
}

TEST(test_macros, a_tear_down_runs_after_a_deadlock_or_a_limit_too) {
  for (bool by_limit : {false, true}) {
    SCOPED_TRACE(by_limit);
    bool stopped = false;
    std::string text = failures_of([&] {
      cut_short_case test(by_limit ? sleeps_for_ever : deadlocks, cut_short_case::end::stops_service);
      test_detail::run_simulated(test, nullptr);
      stopped = test.stopped();
    });
    EXPECT_TRUE(contains(text, by_limit ? "ran for 25h" : "deadlock at"));
    EXPECT_FALSE(contains(text, "the tear-down"));
    EXPECT_TRUE(stopped);
  }
}

TEST(test_macros, a_tear_down_that_fails_after_a_deadlock_is_told_of_beside_it) {
  using end = cut_short_case::end;
  for (end at_end : {end::fails, end::waits_for_ever}) {
    std::string text = failures_of([&] {
      cut_short_case test(deadlocks, at_end);
      test_detail::run_simulated(test, nullptr);
    });
    EXPECT_TRUE(contains(text, "deadlock at 0"));
    EXPECT_TRUE(contains(text, "the tear-down, which ran after that, ended with an exception:"));
    EXPECT_TRUE(contains(text, at_end == end::fails ? "so did the tear-down" : "deadlock at 1s"));
  }
}

TEST(test_macros, tasks_in_members_of_a_fixture_are_destroyed_before_what_they_ran_on) {
  for (const lambda_case::part& body : {lambda_case::part(deadlocks), lambda_case::part(inner)}) {
    std::string text = failures_of([&] {
      cut_short_case test(body, cut_short_case::end::forgets_service);
      test_detail::run_simulated(test, nullptr);
    });
    EXPECT_TRUE(contains(text, "'service'"));
  }
}

TEST(test_macros, an_exception_out_of_the_body_fails_the_test_with_its_traceback) {
  std::string text = failures_of_test([]() -> task<> { co_await inner(); });
  EXPECT_TRUE(contains(text, "the test ended with an exception:\nTraceback"));
  EXPECT_TRUE(contains(text, "inner"));
  EXPECT_TRUE(contains(text, "nothing to do"));
}

TEST(test_macros, an_error_that_nobody_retrieves_fails_the_test) {
  std::string text = failures_of_test([]() -> task<> {
    task_group group;
    group.start(inner());
    co_await sleep_for(2s);
  });
  EXPECT_TRUE(contains(text, "that nobody retrieved"));
  EXPECT_TRUE(contains(text, "nothing to do"));
}

}  // namespace
}  // namespace penstock::testing
