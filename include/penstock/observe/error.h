#pragma once

#include "penstock/core/error.h"

#include <string_view>

namespace penstock {

/// Errors of the observe room.
enum class observe_errc {
  bad_log_level,    ///< A text names no log level.
  bad_log_format,   ///< A text names no log format.
  log_file,         ///< The log file can't be opened.
  bad_metric_name,  ///< A metric's name is not what Prometheus accepts.
  bad_label,        ///< A label's name is not what Prometheus accepts, is reserved, or comes twice.
  metric_conflict,  ///< A metric exists with another type, other label names or other buckets.
  bad_buckets,      ///< Histogram buckets are missing, not finite, or not in ascending order.
};

/// The stable code of an observe error.
constexpr std::string_view code_name(observe_errc code) noexcept {
  switch (code) {
    case observe_errc::bad_log_level:
      return "observe.bad_log_level";
    case observe_errc::bad_log_format:
      return "observe.bad_log_format";
    case observe_errc::log_file:
      return "observe.log_file";
    case observe_errc::bad_metric_name:
      return "observe.bad_metric_name";
    case observe_errc::bad_label:
      return "observe.bad_label";
    case observe_errc::metric_conflict:
      return "observe.metric_conflict";
    case observe_errc::bad_buckets:
      return "observe.bad_buckets";
  }
  return "observe.unknown";
}

}  // namespace penstock
