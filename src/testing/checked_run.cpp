#include "checked_run.h"

#include "penstock/async/error.h"
#include "penstock/core/error.h"
#include "penstock/core/traceback.h"
#include "simulation_state.h"
#include "unhandled_errors.h"

#include <utility>

// Invariant: leaks are looked for when the run has ended by itself and all its frames are gone.

namespace penstock::testing {
namespace {

// What a tear-down may take after a run that reached its caps.
constexpr auto tear_down_time = std::chrono::hours(1);
constexpr std::uint64_t tear_down_steps = 1'000'000;

constinit thread_local bool any_other_failure = false;

std::string kind_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const penstock::error& e) {
    return std::string(e.code());
  } catch (...) {
    std::string text = penstock::describe(error);
    return text.substr(0, text.find(':'));
  }
}

// Runs a part of a test; what it throws is added to `failure`.
task<void> attempt(task<void> part, std::exception_ptr& failure) {
  std::exception_ptr mine;
  try {
    co_await std::move(part);
  } catch (...) {
    mine = std::current_exception();
  }
  if (failure && mine)
    attach_failure(failure, mine);
  else if (mine)
    failure = mine;
}

task<void> torn_down(test_detail::async_case& test) {
  task<void> ending = test.penstock_tear_down();
  co_await std::move(ending);
}

}  // namespace

void run_report::add(std::string fault, std::string_view kind) {
  if (faults.empty()) signature = kind;
  faults.push_back(std::move(fault));
}

void run_report::add_failure(const std::exception_ptr& error) {
  add("the test ended with an exception:\n" + format_traceback(error), kind_of(error));
}

void run_report::add_leaks(const std::vector<std::string>& leaks) {
  if (leaks.empty()) return;
  std::string text = "left open at the end of the test:";
  for (const std::string& leak : leaks) text += "\n  " + leak;
  add(std::move(text), "leak");
}

void run_report::add_unretrieved(const unhandled_errors::list& errors) {
  for (const auto& [error, place] : errors)
    add("an error in " + place + " that nobody retrieved:\n" + format_traceback(error), kind_of(error));
}

other_failures::other_failures() noexcept : outer_(std::exchange(any_other_failure, false)) {}
other_failures::~other_failures() { any_other_failure = outer_; }
void other_failures::note() noexcept { any_other_failure = true; }
bool other_failures::noted() noexcept { return any_other_failure; }

bool nothing_ends_the_test() { return !::testing::Test::HasFatalFailure() && !::testing::Test::IsSkipped(); }

task<void> whole_test(test_detail::async_case& test, const std::function<bool()>& may_go_on, bool& tearing_down) {
  std::exception_ptr failure;
  task<void> starting = attempt(test.penstock_set_up(), failure);
  co_await std::move(starting);
  if (!failure && may_go_on()) {
    task<void> running = attempt(test.penstock_body(), failure);
    co_await std::move(running);
  }
  if (failure) other_failures::note();
  tearing_down = true;
  task<void> ending = attempt(test.penstock_tear_down(), failure);
  co_await std::move(ending);
  if (failure) std::rethrow_exception(failure);
}

run_report run_checked(simulation& sim, task<void> main, std::source_location where,
                       const std::function<bool()>& may_throw) {
  run_report report;
  unhandled_errors unhandled;
  try {
    sim.run(std::move(main), where);
  } catch (...) {
    std::exception_ptr failure = std::current_exception();
    report.cut_short = kind_of(failure) == code_name(async_errc::deadlock);
    if (report.cut_short || !may_throw || !may_throw()) report.add_failure(failure);
  }
  report.add_unretrieved(unhandled.take());
  if (!report.cut_short) {
    report.add_leaks(sim.leaks());
    report.surroundings = sim.sections()->text();
  }
  return report;
}

void tear_down_apart(simulation& sim, test_detail::async_case& test, std::source_location where, run_report& report) {
  other_failures::note();
  sim.internals().most_time = sim.elapsed() + tear_down_time;
  sim.internals().most_steps = tear_down_steps;
  unhandled_errors unhandled;
  try {
    sim.run(torn_down(test), where);
  } catch (...) {
    std::exception_ptr failure = std::current_exception();
    report.add("the tear-down, which ran after that, ended with an exception:\n" + format_traceback(failure),
               kind_of(failure));
  }
  report.add_unretrieved(unhandled.take());
}

void report_to_gtest(const run_report& report, bool failed, const std::source_location& where) {
  auto say = [&](const std::string& what) {
    ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line())) << what;
  };
  for (const std::string& fault : report.faults) say(fault);
  if ((failed || !report.faults.empty()) && !report.surroundings.empty())
    say("what the test ran on, at its end:\n" + report.surroundings);
}

}  // namespace penstock::testing
