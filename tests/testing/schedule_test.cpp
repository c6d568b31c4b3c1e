#include <penstock/async/gather.h>
#include <penstock/async/yield.h>
#include <penstock/testing/error.h>
#include <penstock/testing/schedule.h>
#include <penstock/testing/simulation.h>

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

TEST(schedule, its_text_reads_as_it_was_written) {
  for (const char* text : {"fifo", "random", "pct:1", "pct:7", "fifo+0:1", "fifo+3:1,17:255"})
    EXPECT_EQ(schedule::parse(text).text(), text);
}

TEST(schedule, another_text_is_refused) {
  for (const char* text : {"", "lifo", "pct", "pct:0", "pct:101", "pct:3x", "fifo+", "fifo+1",
                           "fifo+1:", "fifo+2:1,2:1", "fifo+2:1;3:1", "fifo+1:1,", "fifo+-1:1"})
    EXPECT_THROW(schedule::parse(text), error) << text;
}

// The order in which four tasks that are ready at once take two steps each.
std::string order_of_four(const simulation_options& options, schedule* made = nullptr) {
  simulation sim(options);
  std::string order;
  auto one = [&](char name) -> task<> {
    order += name;
    co_await yield();
    order += name;
  };
  auto main = [&]() -> task<> {
    std::vector<task<void>> four;
    for (char name : {'a', 'b', 'c', 'd'}) four.push_back(one(name));
    co_await gather(std::move(four));
  };
  sim.run(main());
  if (made != nullptr) *made = sim.schedule_made();
  return order;
}

TEST(schedule, fifo_is_first_come_first_served) { EXPECT_EQ(order_of_four({}), "abcdabcd"); }

TEST(schedule, random_and_pct_go_another_way_for_another_seed_and_the_same_for_the_same) {
  for (const char* kind : {"random", "pct:1", "pct:3"}) {
    std::set<std::string> orders;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      simulation_options options{.seed = seed, .order = schedule::parse(kind)};
      std::string order = order_of_four(options);
      EXPECT_EQ(order, order_of_four(options));
      orders.insert(order);
    }
    EXPECT_GT(orders.size(), 10u) << kind;
  }
}

TEST(schedule, pct_runs_one_task_on_until_its_priority_changes) {
  // With a depth of 1 no priority changes: each task takes both its steps at once.
  std::string order = order_of_four({.seed = 3, .order = schedule::parse("pct:1")});
  for (std::size_t i = 0; i < order.size(); i += 2) EXPECT_EQ(order[i], order[i + 1]) << order;
}

TEST(schedule, any_run_can_be_told_again_as_changes_of_fifo) {
  for (const char* kind : {"random", "pct:3"})
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      schedule made;
      std::string order = order_of_four({.seed = seed, .order = schedule::parse(kind)}, &made);
      EXPECT_EQ(order_of_four({.order = schedule::parse(made.text())}), order) << made.text();
    }
}

TEST(schedule, a_task_that_polls_starves_no_other_under_pct) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    simulation sim({.seed = seed, .most_steps = 100'000, .order = schedule::parse("pct:2")});
    bool ready = false;
    auto polls = [&]() -> task<> {
      while (!ready) co_await yield();
    };
    auto sets = [&]() -> task<> {
      ready = true;
      co_return;
    };
    auto main = [&]() -> task<> {
      task<void> first = polls();
      task<void> second = sets();
      co_await gather(std::move(first), std::move(second));
    };
    sim.run(main());
  }
}

TEST(schedule, seeds_choose_both_kinds) {
  std::set<std::string> kinds;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) kinds.insert(schedule::for_seed(seed).text());
  EXPECT_EQ(kinds, (std::set<std::string>{"random", "pct:1", "pct:2", "pct:3", "pct:4", "pct:5"}));
}

}  // namespace
}  // namespace penstock::testing
