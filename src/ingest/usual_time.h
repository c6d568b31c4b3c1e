#pragma once

// How long commits usually take, by the order of magnitude of their rows: what single items take says little of
// thousands. Without input or output, and without a clock.

#include "penstock/async/scheduler.h"

#include <array>
#include <cstddef>

namespace penstock::ingest {

class usual_time {
 public:
  // One that took far longer than is known counts for little, so that a database that stood still once is not slow for
  // long; some that take longer each time are believed.
  void committed(std::size_t rows, duration took) noexcept;
  // Of so many rows. Where none of that order were seen, at least what fewer took, and at most what more did, or as
  // many times what fewer did; 0, and an hour, where nothing is known.
  duration at_least(std::size_t rows) const noexcept;
  duration at_most(std::size_t rows) const noexcept;

 private:
  // Moving averages.
  struct size {
    double rows = 0;  // 0: none were seen
    int seen = 0;     // as far as it matters
    double seconds = 0;
  };
  static std::size_t place_of(std::size_t rows) noexcept;
  const size* nearest_below(std::size_t rows) const noexcept;
  const size* nearest(std::size_t rows) const noexcept;

  std::array<size, 20> sizes_;  // of 1 row, 2 to 3, 4 to 7, …
};

}  // namespace penstock::ingest
