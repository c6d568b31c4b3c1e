#pragma once

// Runs a test for many seeds, tells two runs of one seed apart, and finds a simple form of a failing run.

#include "checked_run.h"
#include "penstock/testing/schedule.h"
#include "penstock/testing/simulation.h"
#include "penstock/testing/test_run.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest-spi.h>

namespace penstock::testing {

enum class determinism_check { none, some, all };

// What the environment says of a run.
struct run_settings {
  std::optional<std::uint64_t> seed;          // PENSTOCK_SEED: this one only
  std::optional<schedule> order;              // PENSTOCK_SCHEDULE
  std::vector<std::string> faults_off;        // PENSTOCK_FAULTS_OFF
  std::optional<std::uint64_t> count;         // PENSTOCK_SEEDS: how many, instead of what the test says
  std::uint64_t first = 1;                    // PENSTOCK_FIRST_SEED
  std::optional<std::chrono::seconds> spend;  // PENSTOCK_SEED_SECONDS: seeds for so long, however many
  std::chrono::seconds shrink{30};            // PENSTOCK_SHRINK_SECONDS: no simpler form is looked for after it
  determinism_check check_determinism = determinism_check::some;  // PENSTOCK_CHECK_DETERMINISM=none|some|all
};
run_settings settings_from_environment();

std::string current_test_name();
// Runs a test in a simulation, under the watchdog.
run_report run_case(test_detail::async_case& test, simulation& sim, const std::function<bool()>& may_go_on,
                    std::source_location where);

// One run whose failures are kept instead of reported.
struct captured_run {
  run_report report;
  std::vector<::testing::TestPartResult> parts;
  // Empty when the run was well; else the same for the same defect.
  std::string signature;
  schedule made;
  std::vector<std::string> fault_kinds;
};
captured_run capture_run(const test_detail::case_maker& make, simulation& sim, std::source_location where);
void report_captured(const captured_run& run, std::source_location where);

// Runs the options again and reports the first step that differs, and a failure. True when all was the same.
bool compare_with_second_run(const simulation& first, const simulation_options& options,
                             const test_detail::case_maker& make, std::source_location where);

// A run that fails likewise, with fewer kinds of fault and fewer departures from first come, first served; none is
// begun after `limit` of real time.
struct failing_run {
  simulation_options options;
  captured_run run;
};
failing_run shrink(failing_run failing, std::chrono::seconds limit, const test_detail::case_maker& make,
                   std::source_location where);

// The line that runs it again.
std::string reproduce_line(const simulation_options& options);

}  // namespace penstock::testing
