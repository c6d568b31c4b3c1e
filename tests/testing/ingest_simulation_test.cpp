// All of ingest under faults, seed after seed. How the run is steered (how many seeds, for how long, from which on,
// without which faults) is in docs/testing.md.

#include "ingest_world.h"
#include <penstock/observe/log_capture.h>
#include <penstock/testing/report_section.h>
#include <penstock/testing/test.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

// Of all runs, to see that they do what they are for.
struct totals {
  std::size_t runs = 0;
  std::size_t items = 0;
  std::size_t stored = 0;
  std::size_t unknown = 0;
  std::size_t absent = 0;
  duration virtual_time{};

  void add(const sent_so_far& sent, duration elapsed) {
    ++runs;
    virtual_time += elapsed;
    for (const auto& [id, item] : sent.items) {
      ++items;
      stored += item.fate == told::stored ? 1 : 0;
      unknown += item.fate == told::unknown ? 1 : 0;
      absent += item.fate == told::absent ? 1 : 0;
    }
  }
};

class ingest_simulation : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    sums = {};
    begun = std::chrono::steady_clock::now();
  }
  static void TearDownTestSuite() {
    auto milliseconds = [](auto d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); };
    std::cout << sums.runs << " runs, " << sums.items << " items: " << sums.stored << " acknowledged, " << sums.unknown
              << " of unknown outcome, " << sums.absent << " not taken; " << milliseconds(sums.virtual_time) / 1000
              << " s of virtual time in " << milliseconds(std::chrono::steady_clock::now() - begun) << " ms\n";
  }

  test_options options() { return {.simulation = {.most_time = std::chrono::hours(2), .most_steps = 20'000'000}}; }

  static totals sums;
  static std::chrono::steady_clock::time_point begun;

  std::string last_lines() const {
    constexpr std::size_t most = 40;
    std::vector<std::string> all = logged_.lines();
    std::string text;
    for (std::size_t i = all.size() - std::min(all.size(), most); i < all.size(); ++i) text += all[i] + "\n";
    return text;
  }

  log::capture logged_;
  // Kept past the body, so that what it left open is found and the report tells of it.
  std::optional<ingest_world> world_;
  std::optional<report_section> log_;
};

totals ingest_simulation::sums;
std::chrono::steady_clock::time_point ingest_simulation::begun;

PENSTOCK_TEST_SEEDS_F(ingest_simulation, accounts_for_every_item_under_any_faults, 200) {
  simulation& sim = simulation::current();
  log_.emplace("log", [this] { return last_lines(); });
  world_.emplace(sim);
  task<std::vector<std::string>> running = world_->run();
  std::vector<std::string> wrong = co_await std::move(running);
  sums.add(world_->sent(), sim.elapsed());
  for (const std::string& one : wrong) ADD_FAILURE() << one;
  CO_ASSERT_TRUE(wrong.empty()) << world_->describe_faults();
}

}  // namespace
}  // namespace penstock::testing
