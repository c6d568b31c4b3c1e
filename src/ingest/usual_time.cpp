#include "usual_time.h"

#include <algorithm>
#include <bit>

namespace penstock::ingest {
namespace {

constexpr double weight_of_last = 0.125;
constexpr double longest_seconds = 3600;

duration from_seconds(double seconds) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(std::min(longest_seconds, seconds)));
}

}  // namespace

std::size_t usual_time::place_of(std::size_t rows) noexcept {
  auto bits = static_cast<std::size_t>(std::bit_width(std::max<std::size_t>(rows, 1)));
  return std::min(bits, std::tuple_size_v<decltype(sizes_)>) - 1;
}

void usual_time::committed(std::size_t rows, duration took) noexcept {
  size& s = sizes_[place_of(rows)];
  double weight = s.rows == 0 ? 1 : weight_of_last;
  s.rows += weight * (static_cast<double>(std::max<std::size_t>(rows, 1)) - s.rows);
  s.seconds += weight * (std::chrono::duration<double>(took).count() - s.seconds);
}

// Null where none were seen.
const usual_time::size* usual_time::nearest_below(std::size_t rows) const noexcept {
  for (std::size_t place = place_of(rows) + 1; place-- > 0;)
    if (sizes_[place].rows > 0) return &sizes_[place];
  return nullptr;
}

duration usual_time::at_least(std::size_t rows) const noexcept {
  const size* known = nearest_below(rows);
  return known == nullptr ? duration::zero() : from_seconds(known->seconds);
}

duration usual_time::at_most(std::size_t rows) const noexcept {
  if (const size* known = nearest_below(rows)) {
    bool is_of_that_order = known == &sizes_[place_of(rows)];
    return from_seconds(known->seconds * (is_of_that_order ? 1 : static_cast<double>(rows) / known->rows));
  }
  auto above = std::find_if(sizes_.begin(), sizes_.end(), [](const size& s) { return s.rows > 0; });
  return from_seconds(above == sizes_.end() ? longest_seconds : above->seconds);
}

}  // namespace penstock::ingest
