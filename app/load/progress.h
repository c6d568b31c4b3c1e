#pragma once

// How far a load is: a bar on a terminal, a line every few seconds elsewhere.

#include "app/load/report.h"
#include <penstock/async/scheduler.h>
#include <penstock/async/task.h>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

namespace penstock::app::load {

/// A rate per second that follows changes within some seconds.
class rate_meter {
 public:
  /// Notes the count at a time; times do not go back.
  void note(time_point now, std::uint64_t count) noexcept;
  double per_second() const noexcept { return rate_; }

 private:
  std::optional<time_point> last_;
  std::uint64_t count_ = 0;
  double rate_ = 0;
  bool steady_ = false;
};

/// What a progress line shows.
struct progress_state {
  std::uint64_t items = 0;
  std::uint64_t rejected = 0;  ///< And of unknown outcome.
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> total_bytes = {};
  double items_per_second = 0;
  double bytes_per_second = 0;
};

/// The line with a bar, at most `width` columns; what does not fit is left out, the bar first.
std::string progress_bar(const progress_state& state, std::size_t width);
/// The line without a bar.
std::string progress_text(const progress_state& state);

/// Where progress is shown.
struct progress_options {
  bool terminal = false;  ///< Redraws one line, ten times a second.
  std::optional<std::uint64_t> total_bytes = {};
};

/// Shows the progress of a report until it is cancelled. `out` and `from` outlive the task.
task<void> show_progress(const report& from, progress_options options, std::ostream& out);

/// A whole number with commas: "1,234,567".
std::string with_commas(std::uint64_t number);
/// A size for people: "12.3 MB".
std::string in_megabytes(double bytes);

}  // namespace penstock::app::load
