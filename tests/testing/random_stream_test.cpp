#include <penstock/async/timeout.h>
#include <penstock/testing/random_stream.h>
#include <penstock/testing/simulation.h>

#include <array>
#include <chrono>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;

TEST(random_stream, a_seed_gives_the_same_numbers_on_every_machine) {
  random_stream numbers(7);
  EXPECT_EQ(numbers.next(), 0x63cbe1e459320dd7u);
  EXPECT_EQ(numbers.next(), 0x044c3cd7f43c661cu);
}

TEST(random_stream, names_give_sequences_of_their_own) {
  EXPECT_EQ(random_stream(7, "network").next(), random_stream(7, "network").next());
  EXPECT_NE(random_stream(7, "network").next(), random_stream(7, "database").next());
  EXPECT_NE(random_stream(7, "network").next(), random_stream(8, "network").next());
}

TEST(random_stream, below_gives_every_number_below_and_none_above) {
  random_stream numbers(1);
  std::array<int, 5> seen{};
  for (int i = 0; i < 1'000; ++i) ++seen.at(numbers.below(5));
  for (int count : seen) EXPECT_NEAR(count, 200, 60);
  EXPECT_EQ(numbers.below(1), 0u);
  EXPECT_EQ(numbers.below(0), 0u);
}

TEST(random_stream, chance_is_never_at_zero_and_always_at_one) {
  random_stream numbers(1);
  int hits = 0;
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_FALSE(numbers.chance(0));
    EXPECT_TRUE(numbers.chance(1));
    if (numbers.chance(0.25)) ++hits;
  }
  EXPECT_NEAR(hits, 250, 60);
}

TEST(random_stream, chance_draws_once_whatever_the_probability) {
  random_stream never(3);
  random_stream always(3);
  never.chance(0);
  always.chance(1);
  EXPECT_EQ(never.next(), always.next());
}

TEST(random_stream, between_includes_both_ends) {
  random_stream numbers(1);
  bool least = false;
  bool most = false;
  for (int i = 0; i < 200; ++i) {
    duration d = numbers.between(5ns, 8ns);
    ASSERT_GE(d, 5ns);
    ASSERT_LE(d, 8ns);
    least = least || d == 5ns;
    most = most || d == 8ns;
  }
  EXPECT_TRUE(least);
  EXPECT_TRUE(most);
  EXPECT_EQ(numbers.between(5ns, 5ns), 5ns);
  EXPECT_EQ(numbers.between(5ns, 1ns), 5ns);
}

// The first numbers of two concerns, of which one draws `extra` more in between.
std::pair<std::uint64_t, std::uint64_t> draws(std::uint64_t seed, int extra) {
  simulation sim({.seed = seed});
  auto main = [&]() -> task<std::pair<std::uint64_t, std::uint64_t>> {
    for (int i = 0; i < extra; ++i) simulation::current().random_for("faults").next();
    co_return std::pair(simulation::current().random_for("latency").next(), scheduler::current().random());
  };
  return sim.run(main());
}

TEST(random_stream, a_draw_by_one_concern_shifts_no_other) {
  EXPECT_EQ(draws(5, 0), draws(5, 3));
  EXPECT_NE(draws(5, 0).first, draws(6, 0).first);
}

TEST(random_stream, a_concern_goes_on_where_it_was) {
  simulation sim;
  random_stream& first = sim.random_for("latency");
  std::uint64_t a = first.next();
  EXPECT_EQ(&first, &sim.random_for("latency"));
  EXPECT_NE(a, sim.random_for("latency").next());
}

}  // namespace
}  // namespace penstock::testing
