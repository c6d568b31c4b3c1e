#include "usual_time.h"

#include <algorithm>
#include <bit>

namespace penstock::ingest {
namespace {

constexpr int weighing = 8;  // commits: each of so many, and all before
// Of one that takes longer than is known, no more than this counts, or four times what is known.
constexpr double most_seconds_of_the_first = 1;  // of its size
constexpr double most_seconds = 3;
constexpr double most_times = 4;
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
  double seconds = std::chrono::duration<double>(took).count();
  bool is_first = s.seen == 0;
  if (const size* known = nearest(rows))
    seconds =
        std::min(seconds, std::max(is_first ? most_seconds_of_the_first : most_seconds, most_times * known->seconds));
  if (is_first) {
    double expected = std::chrono::duration<double>(at_most(rows)).count();
    seconds = std::min(seconds, expected + std::max(0.0, seconds - expected) / weighing);
  }
  s.seen = std::min(s.seen + 1, weighing);
  // The first may have been an outlier, which quicker ones correct as in a plain mean.
  double weight = 1.0 / (s.seen == 1 || seconds < s.seconds ? s.seen : weighing);
  s.rows += weight * (static_cast<double>(std::max<std::size_t>(rows, 1)) - s.rows);
  s.seconds += weight * (seconds - s.seconds);
}

// Null where none were seen.
const usual_time::size* usual_time::nearest(std::size_t rows) const noexcept {
  if (const size* known = nearest_below(rows)) return known;
  auto above = std::find_if(sizes_.begin(), sizes_.end(), [](const size& s) { return s.rows > 0; });
  return above == sizes_.end() ? nullptr : &*above;
}

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
  const size* above = nearest(rows);
  return from_seconds(above == nullptr ? longest_seconds : above->seconds);
}

}  // namespace penstock::ingest
