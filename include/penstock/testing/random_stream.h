#pragma once

// A sequence of random numbers that a seed decides, the same on every machine. Each concern of a simulation has one of
// its own (`simulation::random_for`), so that one more draw by one concern shifts no other. Not for secrets.
//
//   random_stream& faults = simulation::current().random_for("network faults");
//   if (faults.chance(0.05)) drop();
//   co_await sleep_for(faults.between(1ms, 20ms));

#include "penstock/async/scheduler.h"

#include <cstdint>
#include <string_view>

namespace penstock::testing {

class run_trace;

/// A reproducible sequence of random numbers.
class random_stream {
 public:
  /// The sequence of a seed.
  explicit random_stream(std::uint64_t seed) noexcept : state_(seed) {}
  /// The sequence of a seed and a name: names apart give sequences that have nothing to do with each other.
  random_stream(std::uint64_t seed, std::string_view name) noexcept;
  /// As above, and notes each draw in a trace under that name; both must outlive it.
  random_stream(std::uint64_t seed, std::string_view name, run_trace& draws) noexcept;

  /// 64 random bits.
  std::uint64_t next();
  /// A number from 0 to `n` - 1, each as likely as any other; 0 for an `n` of 0.
  std::uint64_t below(std::uint64_t n);
  /// True with a probability of 0 (never) to 1 (always). Draws once, whatever the probability.
  bool chance(double probability);
  /// A duration from `least` to `most`, both included; `least` when `most` is not later.
  duration between(duration least, duration most);

 private:
  std::uint64_t state_;
  std::string_view name_;
  run_trace* draws_ = nullptr;
};

}  // namespace penstock::testing
