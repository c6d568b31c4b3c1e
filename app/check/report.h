#pragma once

// What `penstock check` found, as text.

#include <penstock/db/examination.h>

#include <cstddef>
#include <ostream>
#include <string>

namespace penstock::app::check {

/// Writes findings as they come, and counts them.
class report {
 public:
  explicit report(std::ostream& out) noexcept : out_(out) {}

  void add(const db::finding& f);
  /// "no error, 2 warnings", and what that means.
  void summary();

  std::size_t errors() const noexcept { return errors_; }
  std::size_t warnings() const noexcept { return warnings_; }

 private:
  std::ostream& out_;
  std::size_t errors_ = 0;
  std::size_t warnings_ = 0;
};

}  // namespace penstock::app::check
