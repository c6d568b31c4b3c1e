#include "batch_pace.h"

#include <algorithm>

// The two costs are the line through the last batches (least squares, with weights that fade). Batches of one size tell
// nothing of them; when those are full, the next ones are made larger to find out.

namespace penstock::ingest {
namespace {

constexpr double fading = 0.9;
constexpr double least_spread = 0.1;  // of the rows, as a share of their mean, for a line to be drawn
constexpr double cheapest_row_seconds = 1e-8;
constexpr double rows_to_commit_cost = 4;
constexpr std::size_t first_limit = 1'000;
constexpr std::size_t least_limit = 100;

}  // namespace

batch_pace::batch_pace(std::size_t max_rows, duration target, std::size_t in_flight) noexcept
    : max_rows_(max_rows),
      target_seconds_(std::chrono::duration<double>(target).count()),
      in_flight_(std::max<std::size_t>(1, in_flight)),
      limit_(std::min(max_rows, first_limit)) {}

void batch_pace::committed(std::size_t rows, duration took) noexcept {
  auto n = static_cast<double>(rows);
  double t = std::chrono::duration<double>(took).count();
  for (double* sum : {&weight_, &rows_, &seconds_, &rows_squared_, &rows_seconds_}) *sum *= fading;
  weight_ += 1;
  rows_ += n;
  seconds_ += t;
  rows_squared_ += n * n;
  rows_seconds_ += n * t;
  double mean_rows = rows_ / weight_;
  double variance = rows_squared_ / weight_ - mean_rows * mean_rows;
  if (variance < least_spread * least_spread * mean_rows * mean_rows) {
    if (rows >= limit_) set_limit(1.5 * static_cast<double>(limit_));
    return;
  }
  double mean_seconds = seconds_ / weight_;
  double of_a_row = std::max(cheapest_row_seconds, (rows_seconds_ / weight_ - mean_rows * mean_seconds) / variance);
  double of_a_commit = std::max(0.0, mean_seconds - of_a_row * mean_rows);
  set_limit(std::max(target_seconds_ - of_a_commit, rows_to_commit_cost * of_a_commit) / of_a_row);
}

void batch_pace::set_limit(double rows) noexcept {
  auto most = static_cast<double>(max_rows_);
  limit_ = static_cast<std::size_t>(std::clamp(rows, std::min(most, static_cast<double>(least_limit)), most));
}

// What a commit took that was tried again for long says nothing about the next one: the target bounds it.
duration batch_pace::interval() const noexcept {
  if (in_flight_ == 1 || weight_ == 0) return duration::zero();
  double seconds = std::min(seconds_ / weight_, target_seconds_) / static_cast<double>(in_flight_);
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(seconds));
}

}  // namespace penstock::ingest
