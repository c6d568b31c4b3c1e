#include "failing_case.h"
#include <penstock/async/error.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/yield.h>
#include <penstock/testing/error.h>
#include <penstock/testing/schedule.h>
#include <penstock/testing/simulation.h>

#include <memory>
#include <regex>
#include <string>

namespace penstock::testing {
namespace {

// Goes wrong only when the second of two tasks overtakes the first.
task<void> overtaken() {
  int stage = 0;
  auto opens = [&]() -> task<> {
    co_await yield();
    stage = 1;
  };
  auto uses = [&]() -> task<> {
    co_await yield();
    EXPECT_EQ(stage, 1) << "used before it was opened";
  };
  auto noise = []() -> task<> {
    for (int i = 0; i < 20; ++i) co_await yield();
  };
  task<void> a = opens();
  task<void> b = uses();
  task<void> c = noise();
  co_await gather(std::move(a), std::move(b), std::move(c));
}

std::string reproduce_line_in(const std::string& text) {
  std::smatch found;
  return std::regex_search(text, found, std::regex("reproduce: .*")) ? found[0].str() : "";
}

std::string setting(const std::string& line, const std::string& name) {
  std::smatch found;
  std::regex pattern(name + "='?([^ ']*)");
  return std::regex_search(line, found, pattern) ? found[1].str() : "";
}

std::string refusal_of_seeds(int count) {
  try {
    return failures_of_seeds(count, []() -> task<> { co_return; });
  } catch (const error& wrong) {
    return std::string(wrong.code());
  }
}

TEST(seeds, no_runs_are_no_test) {
  for (int count : {0, -1}) EXPECT_EQ(refusal_of_seeds(count), "testing.bad_setting");
  environment_variable seeds("PENSTOCK_SEEDS", "0");
  EXPECT_EQ(refusal_of_seeds(100), "testing.bad_setting");
  environment_variable seconds("PENSTOCK_SEED_SECONDS", "0");
  EXPECT_EQ(refusal_of_seeds(100), "testing.bad_setting");
}

TEST(seeds, fifo_does_not_find_what_another_order_does) {
  EXPECT_EQ(failures_of_test(overtaken), "");
  EXPECT_TRUE(contains(failures_of_seeds(100, overtaken), "used before it was opened"));
}

TEST(seeds, a_failing_one_prints_a_line_that_reproduces_it) {
  std::string line = reproduce_line_in(failures_of_seeds(100, overtaken));
  EXPECT_TRUE(contains(line, "--gtest_filter=seeds.a_failing_one_prints_a_line_that_reproduces_it"));
  environment_variable seed("PENSTOCK_SEED", setting(line, "PENSTOCK_SEED"));
  environment_variable order("PENSTOCK_SCHEDULE", setting(line, "PENSTOCK_SCHEDULE"));
  std::string again = failures_of_seeds(100, overtaken);
  EXPECT_TRUE(contains(again, "used before it was opened"));
  EXPECT_EQ(reproduce_line_in(again), line);
}

TEST(seeds, a_failing_schedule_is_shrunk_to_the_change_that_matters) {
  std::string schedule = setting(reproduce_line_in(failures_of_seeds(100, overtaken)), "PENSTOCK_SCHEDULE");
  EXPECT_TRUE(std::regex_match(schedule, std::regex("fifo\\+[0-9]+:[0-9]+"))) << schedule;
}

task<void> wrong_in_any_order() {
  int count = 0;
  auto counts = [&]() -> task<> {
    co_await yield();
    ++count;
  };
  task<void> a = counts();
  task<void> b = counts();
  co_await gather(std::move(a), std::move(b));
  EXPECT_EQ(count, 3);
}

TEST(seeds, a_failure_that_needs_no_change_is_shrunk_to_fifo) {
  EXPECT_EQ(setting(reproduce_line_in(failures_of_seeds(100, wrong_in_any_order)), "PENSTOCK_SCHEDULE"), "fifo");
}

TEST(seeds, faults_that_do_not_matter_are_switched_off) {
  auto body = []() -> task<> {
    simulation& sim = simulation::current();
    bool slow = sim.faults_enabled("latency") && sim.random_for("latency").chance(0.5);
    bool cut = sim.faults_enabled("reset") && sim.random_for("reset").chance(0.1);
    EXPECT_FALSE(cut) << "cut off " << slow;
    co_return;
  };
  std::string line = reproduce_line_in(failures_of_seeds(200, body));
  EXPECT_EQ(setting(line, "PENSTOCK_FAULTS_OFF"), "latency");
  environment_variable seed("PENSTOCK_SEED", setting(line, "PENSTOCK_SEED"));
  environment_variable off("PENSTOCK_FAULTS_OFF", "latency");
  EXPECT_TRUE(contains(failures_of_seeds(200, body), "cut off"));
  environment_variable all_off("PENSTOCK_FAULTS_OFF", "latency,reset");
  EXPECT_EQ(failures_of_seeds(200, body), "");
}

TEST(seeds, the_first_that_fails_ends_the_test) {
  int runs = 0;
  auto body = [&]() -> task<> {
    ++runs;
    EXPECT_LT(simulation::current().options().seed, 4u);
    co_return;
  };
  environment_variable once("PENSTOCK_CHECK_DETERMINISM", "none");
  EXPECT_TRUE(contains(failures_of_seeds(100, body), "PENSTOCK_SEED=0x4 "));
  EXPECT_LE(runs, 8) << "three that pass, one that fails, and its shrinking";
}

TEST(seeds, their_number_and_start_can_be_set_from_outside) {
  std::vector<std::uint64_t> seen;
  auto body = [&]() -> task<> {
    seen.push_back(simulation::current().options().seed);
    co_return;
  };
  environment_variable once("PENSTOCK_CHECK_DETERMINISM", "none");
  environment_variable count("PENSTOCK_SEEDS", "3");
  environment_variable first("PENSTOCK_FIRST_SEED", "0x10");
  EXPECT_EQ(failures_of_seeds(100, body), "");
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{16, 17, 18}));
}

TEST(seeds, as_many_as_end_in_a_time_can_be_asked_for) {
  int runs = 0;
  auto body = [&]() -> task<> {
    ++runs;
    co_return;
  };
  environment_variable once("PENSTOCK_CHECK_DETERMINISM", "none");
  {
    environment_variable time("PENSTOCK_SEED_SECONDS", "0");
    EXPECT_EQ(failures_of_seeds(100, body), "");
    EXPECT_EQ(runs, 1);
  }
  environment_variable time("PENSTOCK_SEED_SECONDS", "1");
  EXPECT_EQ(failures_of_seeds(1, body), "");
  EXPECT_GT(runs, 2);
}

TEST(seeds, a_test_that_depends_on_more_than_the_seed_is_told_where_it_first_differs) {
  int runs = 0;
  auto body = [&]() -> task<> {
    co_await sleep_for(1s);
    if (++runs == 2) co_await sleep_for(5ms);
    co_await sleep_for(1s);
  };
  std::string text = failures_of_seeds(1, body);
  EXPECT_TRUE(contains(text, "two runs of one seed differ"));
  EXPECT_TRUE(contains(text, "first virtual time went on to 2s; then virtual time went on to 1005ms"));
  EXPECT_TRUE(contains(text, "reproduce: PENSTOCK_SEED=0x1 "));
}

TEST(seeds, another_random_draw_is_a_difference) {
  int runs = 0;
  auto draws = [&]() -> task<> {
    if (++runs == 2) simulation::current().random_for("latency").next();
    co_await yield();
  };
  EXPECT_TRUE(contains(failures_of_seeds(1, draws), "was drawn for 'latency'"));
  runs = 0;
  auto draws_of_the_scheduler = [&]() -> task<> {
    if (++runs == 2) scheduler::current().random();
    co_await yield();
  };
  EXPECT_TRUE(contains(failures_of_seeds(1, draws_of_the_scheduler), "another use of scheduler::random"));
}

TEST(seeds, a_failure_of_the_second_run_alone_is_told) {
  int runs = 0;
  auto body = [&]() -> task<> {
    EXPECT_LT(++runs, 2) << "run again";
    co_return;
  };
  std::string text = failures_of_seeds(1, body);
  EXPECT_TRUE(contains(text, "run again"));
  EXPECT_TRUE(contains(text, "the second run of this seed failed, though the first did not"));
  EXPECT_TRUE(contains(text, "reproduce: PENSTOCK_SEED=0x1 "));
}

TEST(seeds, the_first_failure_is_told_before_a_simpler_form_is_looked_for) {
  int runs = 0;
  std::string told;
  auto body = [&]() -> task<> {
    if (++runs == 2) told = ::testing::internal::GetCapturedStderr();
    ADD_FAILURE() << "the first word of it";
    co_return;
  };
  ::testing::internal::CaptureStderr();
  failures_of_seeds(1, body);
  EXPECT_GE(runs, 2);
  EXPECT_TRUE(contains(told, "the first word of it"));
  EXPECT_TRUE(contains(told, "reproduce: PENSTOCK_SEED=0x1 PENSTOCK_SCHEDULE=" + schedule::for_seed(1).text()));
}

// Fails in one order of very many steps only, so that no change of it can be left out.
TEST(seeds, shrinking_ends_when_its_steps_are_spent) {
  std::string wrong;
  auto body = [&]() -> task<> {
    std::string order;
    auto takes_turns = [&](char name) -> task<> {
      for (int i = 0; i < 150'000; ++i) {
        co_await yield();
        order += name;
      }
    };
    task<void> a = takes_turns('a');
    task<void> b = takes_turns('b');
    co_await gather(std::move(a), std::move(b));
    if (wrong.empty()) wrong = order;
    EXPECT_FALSE(order == wrong) << "the wrong order";
  };
  std::string text = failures_of_seeds(1, body);
  EXPECT_TRUE(contains(text, "the wrong order"));
  EXPECT_EQ(setting(reproduce_line_in(text), "PENSTOCK_SEED"), "0x1");
}

TEST(seeds, shrinking_ends_when_its_time_is_over) {
  int runs = 0;
  auto body = [&]() -> task<> {
    ++runs;
    return wrong_in_any_order();
  };
  environment_variable once("PENSTOCK_CHECK_DETERMINISM", "none");
  environment_variable none("PENSTOCK_SHRINK_SECONDS", "0");
  std::string text = failures_of_seeds(1, body);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(setting(reproduce_line_in(text), "PENSTOCK_SCHEDULE"), schedule::for_seed(1).text());
}

// Counts how often its body and its tear-downs run.
class set_up_case final : public test_detail::async_case {
 public:
  struct counts {
    int bodies = 0, tear_downs = 0, plain_tear_downs = 0;
  };
  enum class trouble { fails, skips, fails_plainly, skips_plainly };
  set_up_case(trouble kind, counts& count) : kind_(kind), count_(count) {}

  task<void> penstock_set_up() override {
    CO_ASSERT_NE(kind_, trouble::fails) << "nothing was set up";
    if (kind_ == trouble::skips) skip();
  }
  task<void> penstock_body() override {
    ++count_.bodies;
    co_return;
  }
  task<void> penstock_tear_down() override {
    ++count_.tear_downs;
    co_return;
  }
  test_options penstock_options() override { return {}; }
  void penstock_plain_set_up() override {
    ASSERT_NE(kind_, trouble::fails_plainly) << "nothing was set up";
    if (kind_ == trouble::skips_plainly) skip();
  }
  void penstock_plain_tear_down() override { ++count_.plain_tear_downs; }

 private:
  static void skip() { GTEST_SKIP() << "nothing was set up"; }
  trouble kind_;
  counts& count_;
};

TEST(seeds, a_body_does_not_run_after_a_set_up_that_failed_or_skipped) {
  using trouble = set_up_case::trouble;
  for (trouble kind : {trouble::fails, trouble::skips, trouble::fails_plainly, trouble::skips_plainly}) {
    SCOPED_TRACE(static_cast<int>(kind));
    bool fails = kind == trouble::fails || kind == trouble::fails_plainly;
    bool plainly = kind == trouble::fails_plainly || kind == trouble::skips_plainly;
    set_up_case::counts count;
    ::testing::TestPartResultArray caught;
    {
      ::testing::ScopedFakeTestPartResultReporter reporter(
          ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &caught);
      environment_variable at_once("PENSTOCK_SHRINK_SECONDS", "0");
      test_detail::run_seeds(3, [&] { return std::make_unique<set_up_case>(kind, count); });
    }
    ASSERT_GT(caught.size(), 0);
    EXPECT_TRUE(contains(caught.GetTestPartResult(0).message(), "nothing was set up"));
    EXPECT_EQ(caught.GetTestPartResult(0).fatally_failed(), fails);
    EXPECT_EQ(caught.GetTestPartResult(0).skipped(), !fails);
    EXPECT_EQ(count.bodies, 0);
    EXPECT_EQ(count.tear_downs > 0, !plainly);
    EXPECT_GT(count.plain_tear_downs, 0);
  }
}

// Notes in each part what it can know of the failures so far.
class asking_fixture : public ::testing::Test {
 protected:
  task<void> tear_down() {
    told += has_failure() ? " failed" : " well";
    co_return;
  }
  void TearDown() override { told += has_fatal_failure() ? " fatally;" : " not fatally;"; }
  std::string told;
};

class asking_case_base : public test_detail::seeds_fixture<asking_fixture> {
 public:
  explicit asking_case_base(std::string& all) : all_(all) {}
  asking_case_base(const asking_case_base&) = delete;
  asking_case_base& operator=(const asking_case_base&) = delete;
  ~asking_case_base() override { all_ += told; }
  void TestBody() override {}

 private:
  std::string& all_;
};

class ended_without_an_assertion final : public asking_case_base {
 public:
  using asking_case_base::asking_case_base;
  task<void> penstock_body() override {
    event never;
    if (simulation::current().options().seed == 2) co_await never.wait();
    throw error(async_errc::no_tasks, "nothing to do");
  }
};

class asking_case final : public asking_case_base {
 public:
  using asking_case_base::asking_case_base;
  task<void> penstock_body() override {
    if (simulation::current().options().seed == 1) co_return;
    told += HasFailure() || HasNonfatalFailure() ? " early" : "";
    EXPECT_TRUE(false) << "a first failure";
    told += HasNonfatalFailure() && !HasFatalFailure() ? " nonfatal" : "";
    check();
    if (HasFatalFailure()) co_return;
    told += " went on";
  }

 private:
  static void check() { FAIL() << "a second one"; }
};

TEST(seeds, their_failures_are_seen_while_they_run) {
  std::string told;
  environment_variable once("PENSTOCK_CHECK_DETERMINISM", "none");
  environment_variable at_once("PENSTOCK_SHRINK_SECONDS", "0");
  failures_of([&] { test_detail::run_seeds(2, [&] { return std::make_unique<asking_case>(told); }); });
  // The first object only says which options the test has.
  EXPECT_EQ(told, " well not fatally; nonfatal failed fatally;");
  EXPECT_FALSE(has_failure());
}

TEST(seeds, what_ended_one_without_an_assertion_is_seen_in_its_tear_down) {
  environment_variable at_once("PENSTOCK_SHRINK_SECONDS", "0");
  for (const char* first : {"2", "3"}) {
    environment_variable beginning("PENSTOCK_FIRST_SEED", first);
    std::string told;
    auto make = [&] { return std::make_unique<ended_without_an_assertion>(told); };
    failures_of([&] { test_detail::run_seeds(1, make); });
    EXPECT_EQ(told, " failed fatally;") << first;
  }
}

TEST(seeds, a_plain_test_is_compared_too_when_all_are) {
  int runs = 0;
  auto body = [&]() -> task<> {
    if (++runs == 2) co_await sleep_for(1s);
  };
  EXPECT_EQ(failures_of_test(body), "");
  runs = 0;
  environment_variable all("PENSTOCK_CHECK_DETERMINISM", "all");
  EXPECT_TRUE(contains(failures_of_test(body), "two runs of one seed differ"));
}

TEST(seeds, a_setting_that_can_not_be_read_is_an_error) {
  auto body = []() -> task<> { co_return; };
  {
    environment_variable seed("PENSTOCK_SEED", "many");
    EXPECT_THROW(failures_of_seeds(1, body), error);
  }
  environment_variable order("PENSTOCK_SCHEDULE", "lifo");
  EXPECT_THROW(failures_of_seeds(1, body), error);
}

}  // namespace
}  // namespace penstock::testing
