#include "penstock/net/event_loop.h"
#include "seed_run.h"

#include <algorithm>
#include <utility>

// Invariant: every form that is kept fails with the signature of the first.

namespace penstock::testing {
namespace {

// Runs, and steps of all runs together, that may be spent on it.
constexpr int most_runs = 300;
constexpr std::uint64_t most_steps = 20'000'000;
// A longer list of changes helps nobody.
constexpr std::size_t most_text = 2'000;

class shrinker {
 public:
  shrinker(failing_run failing, std::chrono::seconds limit, const test_detail::case_maker& make,
           std::source_location where)
      : best_(std::move(failing)), make_(make), where_(where), end_(clock_.wall_now() + limit) {
    best_.options.keep_steps = false;
  }

  failing_run take() {
    without_faults();
    failing_run in_original_order = best_;
    if (as_changes()) fewer_changes();
    bool too_long = best_.options.order.text().size() > most_text;
    return too_long ? std::move(in_original_order) : std::move(best_);
  }

 private:
  bool is_spent() const { return runs_ >= most_runs || steps_ >= most_steps || clock_.wall_now() >= end_; }

  bool keep_if_same(simulation_options options) {
    if (is_spent()) return false;
    ++runs_;
    simulation sim(options);
    captured_run run = capture_run(make_, sim, where_);
    steps_ += sim.trace().steps();
    if (run.signature != best_.run.signature) return false;
    best_ = {std::move(options), std::move(run)};
    return true;
  }

  void without_faults() {
    for (const std::string& kind : std::vector<std::string>(best_.run.fault_kinds)) {
      if (is_spent()) return;
      simulation_options fewer = best_.options;
      if (std::find(fewer.faults_off.begin(), fewer.faults_off.end(), kind) != fewer.faults_off.end()) continue;
      fewer.faults_off.push_back(kind);
      keep_if_same(std::move(fewer));
    }
  }

  // The same run, told as departures from first come, first served.
  bool as_changes() {
    simulation_options told = best_.options;
    told.order = best_.run.made;
    return keep_if_same(std::move(told));
  }

  void fewer_changes() {
    simulation_options none = best_.options;
    none.order.changes.clear();
    if (keep_if_same(std::move(none))) return;
    for (std::size_t part = (best_.options.order.changes.size() + 1) / 2; part > 0; part /= 2) {
      for (std::size_t from = 0; from < best_.options.order.changes.size();) {
        if (is_spent()) return;  // before a list is copied that may be long
        simulation_options fewer = best_.options;
        auto begin = fewer.order.changes.begin() + static_cast<std::ptrdiff_t>(from);
        auto end = begin + static_cast<std::ptrdiff_t>(std::min(part, fewer.order.changes.size() - from));
        fewer.order.changes.erase(begin, end);
        if (!keep_if_same(std::move(fewer))) from += part;
      }
    }
  }

  failing_run best_;
  const test_detail::case_maker& make_;
  std::source_location where_;
  const net::event_loop clock_;
  system_time end_;
  int runs_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace

failing_run shrink(failing_run failing, std::chrono::seconds limit, const test_detail::case_maker& make,
                   std::source_location where) {
  return shrinker(std::move(failing), limit, make, where).take();
}

}  // namespace penstock::testing
