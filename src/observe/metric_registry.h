#pragma once

#include "penstock/observe/metrics.h"

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

namespace prometheus {
struct MetricFamily;
}

namespace penstock::metrics {

enum class metric_type { counter, gauge, histogram };

// One metric with one combination of label values.
struct series {
  labels with;
  // Exactly one of these, as the family's type says. Their addresses stay.
  std::unique_ptr<detail::counter_cells> counter;
  std::unique_ptr<std::atomic<double>> gauge;
  std::unique_ptr<detail::histogram_cells> histogram;
};

struct family {
  std::string help;  // escaped
  metric_type type;
  std::vector<std::string> label_names;  // sorted
  std::vector<double> bounds;
  std::map<labels, series> all;  // by sorted labels
};

struct registry::implementation {
  registry_options options;
  mutable std::mutex mutex;
  std::map<std::string, family, std::less<>> families;
  // Guards the hooks apart from the families: a hook may ask for metrics.
  mutable std::recursive_mutex hooks_mutex;  // a hook may add and remove some
  std::map<std::uint64_t, std::shared_ptr<std::function<void()>>> hooks;
  std::uint64_t next_hook = 1;
  std::vector<std::function<void(std::vector<prometheus::MetricFamily>&)>> collectors;

  series& find(std::string_view name, std::string_view help, metric_type type, const labels& with,
               std::span<const double> bounds);
};

}  // namespace penstock::metrics
