#include "seed_run.h"

#include "environment.h"
#include "penstock/net/event_loop.h"
#include "penstock/testing/error.h"
#include "run_at_risk.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <utility>

// Invariant: what is reported of a failing seed comes from the run that its reproduce line tells of.

namespace penstock::testing {
namespace {

// Of every so many seeds one is run twice.
constexpr std::uint64_t checked_share = 16;

determinism_check check_from_environment() {
  std::string text = environment_text("PENSTOCK_CHECK_DETERMINISM").value_or("some");
  if (text == "none") return determinism_check::none;
  if (text == "some") return determinism_check::some;
  if (text == "all") return determinism_check::all;
  throw error(testing_errc::bad_setting, "PENSTOCK_CHECK_DETERMINISM=" + text + ": expected none, some or all");
}

std::string signature_of(const captured_run& run) {
  for (const ::testing::TestPartResult& part : run.parts)
    if (part.failed())
      return std::string(part.file_name() == nullptr ? "" : part.file_name()) + ":" +
             std::to_string(part.line_number());
  return run.report.signature;
}

using part_result = ::testing::TestPartResult;

bool any_of(const ::testing::TestPartResultArray& caught, bool (part_result::*is)() const) {
  for (int i = 0; i < caught.size(); ++i)
    if ((caught.GetTestPartResult(i).*is)()) return true;
  return false;
}

// What GoogleTest itself asks to know whether a test goes on; it does not see what is caught.
bool ends_the_test(const ::testing::TestPartResultArray& caught) {
  return any_of(caught, &part_result::fatally_failed) || any_of(caught, &part_result::skipped);
}

// What the run of a seed has caught so far; null outside one.
constinit thread_local const ::testing::TestPartResultArray* caught_by_run = nullptr;

// For whom it is asked, while it exists.
class caught_here {
 public:
  explicit caught_here(const ::testing::TestPartResultArray& caught) : outer_(std::exchange(caught_by_run, &caught)) {}
  caught_here(const caught_here&) = delete;
  caught_here& operator=(const caught_here&) = delete;
  ~caught_here() { caught_by_run = outer_; }

 private:
  const ::testing::TestPartResultArray* outer_;
};

bool any_caught(bool (part_result::*is)() const) { return caught_by_run != nullptr && any_of(*caught_by_run, is); }

std::string_view message_of(const ::testing::TestPartResult& part) {
  std::string_view text = part.message();
  if (text.starts_with("Failed\n")) text.remove_prefix(7);
  return text;
}

// Whatever becomes of the search for a simpler form, this much is known.
void announce(const failing_run& failing, std::chrono::seconds limit) {
  std::string text = "seeds: " + current_test_name() + " failed; looking for a simpler form, for " +
                     std::to_string(limit.count()) + " s at most\n";
  const std::vector<::testing::TestPartResult>& parts = failing.run.parts;
  auto failed = std::find_if(parts.begin(), parts.end(), [](const auto& part) { return part.failed(); });
  if (failed != parts.end())
    text.append(message_of(*failed)).append("\n");
  else
    text += failing.run.report.faults.front() + "\n";
  text += reproduce_line(failing.options) + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

// False when the seed failed.
bool run_seed(const simulation_options& options, std::chrono::seconds shrink_for, bool check,
              const test_detail::case_maker& make, std::source_location where) {
  simulation sim(options);
  failing_run failing{options, capture_run(make, sim, where)};
  if (failing.run.signature.empty()) {
    report_captured(failing.run, where);  // such as a skip
    return !check || compare_with_second_run(sim, options, make, where);
  }
  if (shrink_for > std::chrono::seconds::zero()) {
    announce(failing, shrink_for);
    failing = shrink(std::move(failing), shrink_for, make, where);
  }
  report_captured(failing.run, where);
  ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line())) << reproduce_line(failing.options);
  return false;
}

}  // namespace

run_settings settings_from_environment() {
  run_settings s;
  s.seed = environment_number("PENSTOCK_SEED");
  if (std::optional<std::string> order = environment_text("PENSTOCK_SCHEDULE")) s.order = schedule::parse(*order);
  s.faults_off = environment_list("PENSTOCK_FAULTS_OFF");
  s.count = environment_number("PENSTOCK_SEEDS");
  if (s.count == 0U) throw error(testing_errc::bad_setting, "PENSTOCK_SEEDS=0: expected at least 1");
  s.first = environment_number("PENSTOCK_FIRST_SEED").value_or(1);
  if (std::optional<std::uint64_t> spend = environment_number("PENSTOCK_SEED_SECONDS"))
    s.spend = std::chrono::seconds(*spend);
  if (std::optional<std::uint64_t> limit = environment_number("PENSTOCK_SHRINK_SECONDS"))
    s.shrink = std::chrono::seconds(*limit);
  s.check_determinism = check_from_environment();
  return s;
}

bool has_failure() { return has_fatal_failure() || has_nonfatal_failure(); }
bool has_fatal_failure() {
  return ::testing::Test::HasFatalFailure() || any_caught(&part_result::fatally_failed) || other_failures::noted();
}
bool has_nonfatal_failure() {
  return ::testing::Test::HasNonfatalFailure() || any_caught(&part_result::nonfatally_failed);
}

captured_run capture_run(const test_detail::case_maker& make, simulation& sim, std::source_location where) {
  captured_run run;
  run_at_risk this_one(reproduce_line(sim.options()));
  ::testing::TestPartResultArray caught;
  {
    ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &caught);
    caught_here asked_for(caught);
    other_failures also_asked_for;
    std::unique_ptr<test_detail::async_case> test = make();
    test->penstock_plain_set_up();
    auto may_go_on = [&] { return !ends_the_test(caught); };
    if (may_go_on()) run.report = run_case(*test, sim, may_go_on, where);
    if (!run.report.faults.empty()) other_failures::note();
    test->penstock_plain_tear_down();
  }
  for (int i = 0; i < caught.size(); ++i) run.parts.push_back(caught.GetTestPartResult(i));
  run.signature = signature_of(run);
  run.made = sim.schedule_made();
  run.fault_kinds.assign(sim.fault_kinds().begin(), sim.fault_kinds().end());
  return run;
}

void report_captured(const captured_run& run, std::source_location where) {
  bool failed = false;
  for (const ::testing::TestPartResult& part : run.parts) {
    failed = failed || part.failed();
    std::string text(message_of(part));
    GTEST_MESSAGE_AT_(part.file_name(), part.line_number(), text.c_str(), part.type());
  }
  report_to_gtest(run.report, failed, where);
}

bool compare_with_second_run(const simulation& first, const simulation_options& options,
                             const test_detail::case_maker& make, std::source_location where) {
  simulation second(options);
  captured_run again = capture_run(make, second, where);
  std::optional<std::string> difference = first_difference(first.trace(), second.trace());
  std::string what;
  if (!again.signature.empty()) {
    report_captured(again, where);
    what = "the second run of this seed failed, though the first did not";
  }
  if (difference) what += (what.empty() ? "" : ": ") + ("two runs of one seed differ. " + *difference);
  if (what.empty()) return true;
  ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line()))
      << what
      << "\nSo something in the test depends on more than the seed (an address, a clock, a static variable, the order "
         "of an unordered container).\n"
      << reproduce_line(options);
  return false;
}

std::string reproduce_line(const simulation_options& options) {
  std::array<char, 32> seed{};
  std::snprintf(seed.data(), seed.size(), "0x%llx", static_cast<unsigned long long>(options.seed));
  std::string line =
      std::string("reproduce: PENSTOCK_SEED=") + seed.data() + " PENSTOCK_SCHEDULE=" + options.order.text();
  if (!options.faults_off.empty()) line += " PENSTOCK_FAULTS_OFF='";
  for (const std::string& kind : options.faults_off) line += kind + (&kind == &options.faults_off.back() ? "'" : ",");
  return line + " " + program_invocation_name + " --gtest_filter=" + current_test_name();
}

void test_detail::run_seeds(int count, const case_maker& make, std::source_location where) {
  if (count < 1)
    throw error(testing_errc::bad_setting, std::to_string(count) + " seeds for a test: expected at least 1");
  run_settings settings = settings_from_environment();
  std::unique_ptr<async_case> test = make();
  simulation_options options = test->penstock_options().simulation;
  test.reset();
  options.faults_off.insert(options.faults_off.end(), settings.faults_off.begin(), settings.faults_off.end());
  std::uint64_t first = settings.seed.value_or(settings.first);
  std::uint64_t runs = settings.seed ? 1 : settings.count.value_or(static_cast<std::uint64_t>(count));
  const net::event_loop real;
  system_time start = real.wall_now();
  auto wanted = [&](std::uint64_t done) {
    if (settings.seed || !settings.spend) return done < runs;
    return done == 0 || real.wall_now() - start < *settings.spend;
  };
  for (std::uint64_t i = 0; wanted(i) && !::testing::Test::IsSkipped(); ++i) {
    options.seed = first + i;
    options.order = settings.order ? *settings.order : schedule::for_seed(options.seed);
    bool check = settings.check_determinism == determinism_check::all ||
                 (settings.check_determinism == determinism_check::some && i % checked_share == 0);
    options.keep_steps = check;
    std::chrono::seconds shrink_for = settings.order ? std::chrono::seconds(0) : settings.shrink;
    if (!run_seed(options, shrink_for, check, make, where)) return;
  }
}

}  // namespace penstock::testing
