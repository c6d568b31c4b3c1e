#pragma once

// How large batches are to be and how soon after one another they go, from what the last ones took. Without input or
// output, and without a clock.
//
// A commit takes a + b·rows. Rows are added while they take no longer than the target, or four times as long as the
// part that each commit costs anyway: so a store that takes long for each commit gets large batches, and one that takes
// long for each row small ones. Several commits at a time are spread evenly over the time that one takes.

#include "penstock/async/scheduler.h"

#include <cstddef>

namespace penstock::ingest {

class batch_pace {
 public:
  // Rows are never more than `max_rows`; `in_flight` commits run at a time, at most.
  batch_pace(std::size_t max_rows, duration target, std::size_t in_flight) noexcept;

  // A batch was committed.
  void committed(std::size_t rows, duration took) noexcept;
  // Rows with which a batch is full.
  std::size_t row_limit() const noexcept { return limit_; }
  // From the start of one commit to that of the next, while the first is under way.
  duration interval() const noexcept;

 private:
  void set_limit(double rows) noexcept;

  std::size_t max_rows_;
  double target_seconds_;
  std::size_t in_flight_;
  std::size_t limit_;
  // Sums over the past, each batch weighing less than the next: of weights, rows, seconds, rows², rows·seconds.
  double weight_ = 0, rows_ = 0, seconds_ = 0, rows_squared_ = 0, rows_seconds_ = 0;
};

}  // namespace penstock::ingest
