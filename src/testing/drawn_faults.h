#pragma once

#include "penstock/testing/random_stream.h"

#include <string>
#include <string_view>

namespace penstock::testing {

// A number from 0 to 1.
inline double fraction(random_stream& from) noexcept { return static_cast<double>(from.below(1'000'001)) * 1e-6; }

// A duration of this mean, from 0 to twice that.
inline duration around(random_stream& from, duration mean) noexcept { return from.between({}, 2 * mean); }

// The chances of one run: each is 0 in half of all runs. Off or on, a kind draws the same count of numbers.
class drawn_faults {
 public:
  explicit drawn_faults(random_stream& from) noexcept : from_(from) {}
  double chance(double least, double most) noexcept {
    bool on = from_.chance(0.5);
    double value = least + (most - least) * fraction(from_);
    return on ? value : 0;
  }
  duration span(duration least, duration most) noexcept {
    bool on = from_.chance(0.5);
    duration value = from_.between(least, most);
    return on ? value : duration();
  }

 private:
  random_stream& from_;
};

// The kinds that are on, joined by commas.
class fault_list {
 public:
  void add(std::string_view kind, bool on) {
    if (!on) return;
    if (!text_.empty()) text_ += ", ";
    text_ += kind;
  }
  std::string text() const { return text_.empty() ? "none" : text_; }

 private:
  std::string text_;
};

}  // namespace penstock::testing
