#pragma once

// What a simulated run did, step by step: which task was resumed, which random number was drawn, when virtual time went
// on. Two runs of one seed have the same trace, or something in them depends on more than the seed.
//
//   simulation again({.seed = 7, .keep_steps = true});
//   again.run(my_test());
//   if (auto difference = first_difference(once.trace(), again.trace())) FAIL() << *difference;

#include "penstock/async/scheduler.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::testing {

/// A hash over all steps of a run, and, when they are kept, the first million of them. Not copyable; belongs to a
/// simulation.
class run_trace {
 public:
  explicit run_trace(bool keep_steps) noexcept : keep_(keep_steps) {}
  run_trace(const run_trace&) = delete;
  run_trace& operator=(const run_trace&) = delete;

  /// The same for two runs that went the same way.
  std::uint64_t fingerprint() const noexcept { return hash_; }
  /// How many steps the run made.
  std::uint64_t steps() const noexcept { return count_; }

  /// A task was resumed: its number, its place among the ready ones, and how far `scheduler::random` was then.
  void resumed(duration at, std::uint64_t task, std::uint64_t place, std::uint64_t random_position,
               const std::source_location& where);
  /// Virtual time went on.
  void time_went_on(duration to);
  /// A random number was drawn for a concern.
  void drew(std::string_view concern, std::uint64_t number);

 private:
  friend std::optional<std::string> first_difference(const run_trace& first, const run_trace& second);

  enum class kind : std::uint8_t { resumed, time_went_on, drew };
  struct step {
    kind what;
    std::uint64_t subject;  // the task, or which of the concerns
    std::uint64_t value;    // hash of all else that the step was
    duration at;
    std::source_location where;
  };
  void add(const step& s);
  std::string describe(const step& s) const;

  bool keep_;
  std::uint64_t hash_ = 0;
  std::uint64_t count_ = 0;
  duration now_{};
  std::deque<step> kept_;
  std::vector<std::string> concerns_;
};

/// Where the second run first differs from the first, in words; nullopt when they went the same way. Beyond the steps
/// that were kept it can only say that they differ.
std::optional<std::string> first_difference(const run_trace& first, const run_trace& second);

}  // namespace penstock::testing
