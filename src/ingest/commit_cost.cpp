#include "commit_cost.h"

#include <algorithm>

namespace penstock::ingest {
namespace {

constexpr double fading = 0.9;
constexpr double least_spread = 0.1;  // of the rows, as a share of their mean, for a line to be drawn
constexpr double cheapest_row_seconds = 1e-8;

}  // namespace

void commit_cost::committed(std::size_t rows, duration took) noexcept {
  auto n = static_cast<double>(rows);
  double t = std::chrono::duration<double>(took).count();
  for (double* sum : {&weight_, &rows_, &seconds_, &rows_squared_, &rows_seconds_}) *sum *= fading;
  weight_ += 1;
  rows_ += n;
  seconds_ += t;
  rows_squared_ += n * n;
  rows_seconds_ += n * t;
}

bool commit_cost::is_divided() const noexcept {
  return is_known() && variance() >= least_spread * least_spread * mean_rows() * mean_rows();
}

double commit_cost::of_a_row() const noexcept {
  return std::max(cheapest_row_seconds, (rows_seconds_ / weight_ - mean_rows() * mean()) / variance());
}

double commit_cost::of_a_commit() const noexcept { return std::max(0.0, mean() - of_a_row() * mean_rows()); }

duration commit_cost::of(std::size_t rows) const noexcept {
  if (!is_known()) return duration::zero();
  double seconds = is_divided() ? of_a_commit() + of_a_row() * static_cast<double>(rows) : mean();
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(seconds));
}

}  // namespace penstock::ingest
