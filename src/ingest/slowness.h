#pragma once

#include "penstock/async/scheduler.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace penstock::ingest {

// That something took all the time that it had: remembered for a minute, and for twice as long as before each time that
// it begins again soon after it was forgotten.
class slowness {
 public:
  void found(time_point begun) noexcept {
    time_point now = scheduler::current().now();
    bool is_new = !last_ || begun - *last_ >= 2 * remembered_for_;
    if (is_new)
      remembered_for_ = shortest;
    else if (!is_remembered())
      remembered_for_ = std::min(longest, 2 * remembered_for_);
    last_ = now;
  }
  bool is_remembered() const noexcept { return last_ && scheduler::current().now() - *last_ < remembered_for_; }

 private:
  static constexpr duration shortest = std::chrono::minutes(1);
  static constexpr duration longest = std::chrono::minutes(16);

  std::optional<time_point> last_;
  duration remembered_for_ = shortest;
};

}  // namespace penstock::ingest
