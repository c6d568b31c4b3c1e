#include "batch_pace.h"

#include <algorithm>

// Batches of one size tell nothing of the two costs; when those are full, the next ones are made larger to find out.

namespace penstock::ingest {
namespace {

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
  cost_.committed(rows, took);
  if (!cost_.is_divided()) {
    if (rows >= limit_) set_limit(1.5 * static_cast<double>(limit_));
    return;
  }
  double of_a_commit = cost_.of_a_commit();
  set_limit(std::max(target_seconds_ - of_a_commit, rows_to_commit_cost * of_a_commit) / cost_.of_a_row());
}

void batch_pace::set_limit(double rows) noexcept {
  auto most = static_cast<double>(max_rows_);
  limit_ = static_cast<std::size_t>(std::clamp(rows, std::min(most, static_cast<double>(least_limit)), most));
}

// What a commit took that was tried again for long says nothing about the next one: the target bounds it.
duration batch_pace::interval() const noexcept {
  if (in_flight_ == 1 || !cost_.is_known()) return duration::zero();
  double seconds = std::min(cost_.mean(), target_seconds_) / static_cast<double>(in_flight_);
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(seconds));
}

}  // namespace penstock::ingest
