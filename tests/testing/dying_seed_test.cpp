#include "failing_case.h"
#include <penstock/async/yield.h>
#include <penstock/testing/simulation.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>

namespace penstock::testing {
namespace {

// Ends the program with a seed that is told in the last line.
constexpr const char* its_line =
    "in the middle of a run\nreproduce: PENSTOCK_SEED=0x3 PENSTOCK_SCHEDULE=.* --gtest_filter=dying_seed.";

class dying_seed : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

// Does it in the third seed of five.
void run_seeds_that(const std::function<void()>& do_it) {
  failures_of_seeds(5, [&]() -> task<> {
    co_await yield();
    if (simulation::current().options().seed == 3) do_it();
  });
}

int* volatile nowhere = nullptr;
volatile bool deeper = true;

// Uses up the stack.
std::size_t fall(std::size_t depth) {
  std::array<volatile char, 1024> room{};
  room[depth % room.size()] = 1;
  return deeper ? fall(depth + 1) + static_cast<std::size_t>(room[0]) : depth;
}

void fails() { throw std::exception(); }

TEST_F(dying_seed, by_a_fault_is_named) {
  EXPECT_DEATH(run_seeds_that([] { *nowhere = 1; }), its_line);
}

TEST_F(dying_seed, by_a_stack_that_overflows_is_named) {
  EXPECT_DEATH(run_seeds_that([] { deeper = fall(0) != 0; }), its_line);
}

TEST_F(dying_seed, by_an_abort_is_named) {
  EXPECT_DEATH(run_seeds_that([] { std::abort(); }), its_line);
}

TEST_F(dying_seed, by_an_exception_that_nobody_may_catch_is_named) {
  EXPECT_DEATH(run_seeds_that([]() noexcept { fails(); }), its_line);
}

TEST_F(dying_seed, that_never_ends_is_named_by_the_watchdog) {
  auto body = []() -> task<> {
    while (simulation::current().options().seed == 3) co_await yield();
  };
  EXPECT_DEATH(failures_of_seeds(5, body, {.watchdog = 1s}), std::string("has not ended after 1 s(.|\n)*") + its_line);
}

TEST_F(dying_seed, is_not_named_once_it_has_ended) {
  auto seeds_and_then_an_end = [] {
    run_seeds_that([] {});
    std::fputs("no seed: ", stderr);
    std::abort();
  };
  EXPECT_DEATH(seeds_and_then_an_end(), "no seed: $");
}

}  // namespace
}  // namespace penstock::testing
