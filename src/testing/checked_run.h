#pragma once

// Runs a task to its end and looks at what it left behind.

#include "penstock/async/task.h"
#include "penstock/testing/simulation.h"
#include "penstock/testing/test_run.h"

#include <exception>
#include <functional>
#include <source_location>
#include <string>
#include <vector>

namespace penstock::testing {

struct run_report {
  // What was wrong, a paragraph each: an exception, what was left open, errors that nobody retrieved.
  std::vector<std::string> faults;
  // The first one in a word that is the same for the same defect: "net.connection_closed", "leak".
  std::string signature;
  // What the simulation's things said of themselves at the end; empty where a fault says it already.
  std::string surroundings;

  void add(std::string fault, std::string_view kind);
  void add_failure(const std::exception_ptr& error);
  void add_leaks(const std::vector<std::string>& leaks);
};

// Set-up, body and tear-down of a test as one task.
task<void> whole_test(test_detail::async_case& test);

// An exception is no fault when `may_throw` says so afterwards, unless it cut the run short.
run_report run_checked(simulation& sim, task<void> main, std::source_location where,
                       const std::function<bool()>& may_throw = nullptr);

// Tells GoogleTest; nothing when all was well. `failed` says that assertions of the test failed, which are told
// already.
void report_to_gtest(const run_report& report, bool failed, const std::source_location& where);

}  // namespace penstock::testing
