#pragma once

// Runs a task to its end and looks at what it left behind.

#include "penstock/async/task.h"
#include "penstock/testing/simulation.h"
#include "penstock/testing/test_run.h"
#include "unhandled_errors.h"

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
  // By a deadlock, or a cap that was reached: frames were destroyed in the middle.
  bool cut_short = false;

  void add(std::string fault, std::string_view kind);
  void add_failure(const std::exception_ptr& error);
  void add_leaks(const std::vector<std::string>& leaks);
  void add_unretrieved(const unhandled_errors::list& errors);
};

// While one exists, `has_failure` knows too of what ended a part of the test without an assertion.
class other_failures {
 public:
  other_failures() noexcept;
  other_failures(const other_failures&) = delete;
  other_failures& operator=(const other_failures&) = delete;
  ~other_failures();
  static void note() noexcept;
  static bool noted() noexcept;

 private:
  bool outer_;
};

// Whether the test that GoogleTest runs may go on: no assertion of it was fatal, and it was not skipped.
bool nothing_ends_the_test();
// Set-up, body and tear-down of a test as one task. The body is left out when the set-up fails, or unless `may_go_on`
// after it; the latter is not copied. `tearing_down` tells whether the tear-down was begun.
task<void> whole_test(test_detail::async_case& test, const std::function<bool()>& may_go_on, bool& tearing_down);

// An exception is no fault when `may_throw` says so afterwards, unless it cut the run short.
run_report run_checked(simulation& sim, task<void> main, std::source_location where,
                       const std::function<bool()>& may_throw = nullptr);

// The tear-down of a test whose run was cut short before it, within limits of its own. What fails in it is added to
// the report; what it leaves is not looked at.
void tear_down_apart(simulation& sim, test_detail::async_case& test, std::source_location where, run_report& report);

// Tells GoogleTest; nothing when all was well. `failed` says that assertions of the test failed, which are told
// already.
void report_to_gtest(const run_report& report, bool failed, const std::source_location& where);

}  // namespace penstock::testing
