#pragma once

// What commits cost: a + b·rows, as a line through the last ones (least squares, with weights that fade). Without input
// or output, and without a clock.

#include "penstock/async/scheduler.h"

#include <cstddef>

namespace penstock::ingest {

class commit_cost {
 public:
  // A batch was committed.
  void committed(std::size_t rows, duration took) noexcept;

  bool is_known() const noexcept { return weight_ > 0; }
  // Whether batches differed enough in their rows to tell the two costs apart.
  bool is_divided() const noexcept;
  // Seconds. Of the mean of the last ones, while there was one; the others while the costs are told apart.
  double mean() const noexcept { return seconds_ / weight_; }
  double of_a_row() const noexcept;
  double of_a_commit() const noexcept;
  // Of so many rows; where nothing is known of the cost of a row, what the last ones took; 0 where there was none.
  duration of(std::size_t rows) const noexcept;

 private:
  double mean_rows() const noexcept { return rows_ / weight_; }
  double variance() const noexcept { return rows_squared_ / weight_ - mean_rows() * mean_rows(); }

  // Sums over the past, each batch weighing less than the next: of weights, rows, seconds, rows², rows·seconds.
  double weight_ = 0, rows_ = 0, seconds_ = 0, rows_squared_ = 0, rows_seconds_ = 0;
};

}  // namespace penstock::ingest
