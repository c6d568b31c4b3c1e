#pragma once

// What one of several objects adds to a gauge that they share, such as servers or pools of one name: each shows its own
// number, and takes it back when it ends.

#include "penstock/observe/metrics.h"

#include <cstddef>

namespace penstock::metrics::detail {

class gauge_part {
 public:
  gauge_part() = default;
  explicit gauge_part(gauge all) noexcept : all_(all) {}
  gauge_part(const gauge_part&) = delete;
  gauge_part& operator=(const gauge_part&) = delete;
  ~gauge_part() { show(0); }

  // By one thread at a time.
  void show(std::size_t now) noexcept {
    if (now == shown_) return;
    all_.add(static_cast<double>(now) - static_cast<double>(shown_));
    shown_ = now;
  }

 private:
  gauge all_;
  std::size_t shown_ = 0;
};

}  // namespace penstock::metrics::detail
