#include "penstock/testing/enumeration.h"

#include "checked_run.h"
#include "penstock/async/detail/promise.h"
#include "penstock/async/suspension.h"
#include "penstock/testing/failure_point.h"
#include "simulation_state.h"

#include <utility>

#include <gtest/gtest.h>

// Invariant: every run is a simulation of its own, so that run number n depends on n alone.

namespace penstock::testing {
namespace {

// A scenario with more points than this makes no end.
constexpr std::size_t most_runs = 100'000;

// Says what was done to the run, when anything is wrong with it. False to go on.
bool report_run(const run_report& report, const std::string& what_was_done, bool failed_before,
                const std::source_location& where) {
  bool asserted = !failed_before && ::testing::Test::HasFailure();
  report_to_gtest(report, asserted, where);
  bool failed = asserted || !report.faults.empty();
  if (failed)
    ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line())) << "the failure above: " << what_was_done;
  return failed;
}

void report_endless(const std::source_location& where) {
  ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line()))
      << "no end after " << most_runs << " runs: make the scenario smaller";
}

}  // namespace

std::size_t for_each_failure(const std::function<task<void>()>& scenario, const std::function<void()>& invariants,
                             const simulation_options& options, std::source_location where) {
  for (std::size_t n = 0; n < most_runs; ++n) {
    bool failed_before = ::testing::Test::HasFailure();
    failure_plan plan(n);
    run_report report;
    {
      simulation sim(options);
      report = run_checked(sim, scenario(), where, [&] { return plan.failed().has_value(); });
    }
    if (invariants) invariants();
    std::string done = plan.failed() ? "operation " + std::to_string(n + 1) + ", '" + *plan.failed() + "', had failed"
                                     : "none of the " + std::to_string(n) + " operations had failed";
    if (report_run(report, done, failed_before, where) || !plan.failed()) return n;
  }
  report_endless(where);
  return most_runs;
}

class cancellation::probe final : public suspension_probe {
 public:
  probe(cancellation& c, std::size_t at) : owner_(c), at_(at) {}
  void waits(const suspension& wait) noexcept override {
    if (next_++ == at_) cancel_at(wait, "when it had begun to wait for ");
  }
  void resumes(const suspension& wait) noexcept override {
    if (next_++ == at_) cancel_at(wait, "when this had come, but before it went on: ");
  }

 private:
  void cancel_at(const suspension& wait, const char* when) {
    owner_.place_ = when + std::string(wait.waiting_for());
    for (const auto* task = wait.waiting_task(); task != nullptr; task = task->parent())
      owner_.place_ += "\n      at " + place_text(task->await_site());
    owner_.scope_.cancel("assert_cancel_safe");
  }

  cancellation& owner_;
  std::size_t at_;
  std::size_t next_ = 0;
};

cancellation::cancellation(std::size_t at) : probe_(std::make_unique<probe>(*this, at)) {}
cancellation::~cancellation() = default;

cancellation::observation::observation(cancellation& c) : owner_(c) {
  simulation::current().internals().probe = owner_.probe_.get();
}

cancellation::observation::~observation() {
  // The frame may also be destroyed after its run was cut short.
  if (simulation* sim = simulation::current_or_null()) sim->internals().probe = nullptr;
}

std::size_t assert_cancel_safe(const std::function<task<void>(cancellation&)>& scenario,
                               const std::function<void()>& invariants, const simulation_options& options,
                               std::source_location where) {
  for (std::size_t n = 0; n < most_runs; ++n) {
    bool failed_before = ::testing::Test::HasFailure();
    cancellation c(n);
    run_report report;
    {
      simulation sim(options);
      report = run_checked(sim, scenario(c), where);
    }
    if (invariants) invariants();
    std::string done =
        c.place().empty() ? "the scenario was not cancelled"
                          : "the scenario was cancelled at point " + std::to_string(n + 1) + ", by a task " + c.place();
    if (report_run(report, done, failed_before, where) || c.place().empty()) return n;
  }
  report_endless(where);
  return most_runs;
}

std::size_t assert_cancel_safe(const std::function<task<void>()>& scenario, const std::function<void()>& invariants,
                               const simulation_options& options, std::source_location where) {
  auto whole = [&](cancellation& c) -> task<void> {
    task<void> running = scenario();
    task<bool> cancelled = c.run(std::move(running));
    co_await std::move(cancelled);
  };
  return assert_cancel_safe(std::function<task<void>(cancellation&)>(whole), invariants, options, where);
}

}  // namespace penstock::testing
