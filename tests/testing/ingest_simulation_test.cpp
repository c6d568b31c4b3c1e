// All of ingest under faults, seed after seed.
//
//   PENSTOCK_SEEDS=1000               how many seeds (200 when it is not set), from PENSTOCK_SEED on (1)
//   PENSTOCK_SIMULATION_SECONDS=600   the nightly run: seeds until so much real time has passed
//   PENSTOCK_FAULTS_OFF=a,b           kinds of fault to leave out, to see which ones a failure needs

#include "ingest_world.h"
#include <penstock/observe/log_capture.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

std::vector<std::string> faults_off() {
  std::vector<std::string> kinds;
  const char* text = std::getenv("PENSTOCK_FAULTS_OFF");
  std::istringstream list(text == nullptr ? "" : text);
  for (std::string kind; std::getline(list, kind, ',');) kinds.push_back(kind);
  return kinds;
}

struct totals {
  std::size_t seeds = 0;
  std::size_t items = 0;
  std::size_t stored = 0;
  std::size_t unknown = 0;
  std::size_t absent = 0;
  duration virtual_time{};
};

// False when something did not hold; says what, and how to see it again.
bool run_seed(std::uint64_t seed, totals& sums) {
  log::capture quiet;
  simulation sim(
      {.seed = seed, .most_time = std::chrono::hours(2), .most_steps = 20'000'000, .faults_off = faults_off()});
  ingest_world world(sim);
  std::vector<std::string> wrong;
  try {
    wrong = sim.run(world.run());
  } catch (const std::exception& e) {
    wrong.push_back(std::string("the run failed: ") + e.what());
  }
  std::string left = describe(sim.open_things().open());
  if (!left.empty()) wrong.push_back("left open: " + left);
  ++sums.seeds;
  sums.virtual_time += sim.elapsed();
  for (const auto& [id, item] : world.sent().items) {
    ++sums.items;
    sums.stored += item.fate == told::stored ? 1 : 0;
    sums.unknown += item.fate == told::unknown ? 1 : 0;
    sums.absent += item.fate == told::absent ? 1 : 0;
  }
  if (wrong.empty()) return true;
  std::string list;
  for (const std::string& one : wrong) list += "\n  " + one;
  ADD_FAILURE() << "seed " << seed << ": " << wrong.size() << " things do not hold:" << list << "\n"
                << world.describe_faults() << "\n"
                << world.net().netstat() << world.store().processlist() << "reproduce: PENSTOCK_SEED=" << seed
                << " PENSTOCK_SEEDS=1 ./penstock_testing_tests --gtest_filter=ingest_simulation.*";
  return false;
}

TEST(ingest_simulation, accounts_for_every_item_under_any_faults) {
  std::uint64_t first = number_from_environment("PENSTOCK_SEED", 1);
  std::uint64_t count = number_from_environment("PENSTOCK_SEEDS", 200);
  std::uint64_t seconds = number_from_environment("PENSTOCK_SIMULATION_SECONDS", 0);
  auto start = std::chrono::steady_clock::now();
  auto elapsed = [&] { return std::chrono::steady_clock::now() - start; };
  totals sums;
  std::size_t failed = 0;
  for (std::uint64_t seed = first; seconds > 0 ? elapsed() < std::chrono::seconds(seconds) : seed < first + count;
       ++seed)
    if (!run_seed(seed, sums) && ++failed == 5) break;  // enough to look at
  std::cout << sums.seeds << " seeds, " << sums.items << " items: " << sums.stored << " acknowledged, " << sums.unknown
            << " of unknown outcome, " << sums.absent << " not taken; "
            << std::chrono::duration_cast<std::chrono::seconds>(sums.virtual_time).count() << " s of virtual time in "
            << std::chrono::duration_cast<std::chrono::milliseconds>(elapsed()).count() << " ms\n";
}

}  // namespace
}  // namespace penstock::testing
