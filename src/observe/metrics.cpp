// Invariants: a name belongs to one type, one set of label names and one set of buckets for the registry's life; cells
// are never moved or freed before the registry, so handles need no lock.

#include "penstock/observe/metrics.h"

#include "observe/escape.h"
#include "observe/metric_registry.h"
#include "penstock/observe/error.h"

#include <algorithm>
#include <cmath>
#include <locale>
#include <sstream>

#include <prometheus/check_names.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace penstock::metrics {
namespace {

constexpr std::string_view overflow_value = "other";

std::string_view type_name(metric_type type) {
  switch (type) {
    case metric_type::counter:
      return "counter";
    case metric_type::gauge:
      return "gauge";
    case metric_type::histogram:
      return "histogram";
  }
  return "metric";
}

std::string joined(const std::vector<std::string>& names) {
  std::string text = "{";
  for (const std::string& name : names) text.append(text.size() > 1 ? ", " : "").append(name);
  return text + "}";
}

void check_name(std::string_view name) {
  if (prometheus::CheckMetricName(std::string(name))) return;
  throw error(observe_errc::bad_metric_name,
              "metric '" + std::string(name) +
                  "': a name is letters, digits, '_' and ':', does not start with a digit or with \"__\"");
}

std::vector<std::string> checked_label_names(std::string_view metric, const labels& sorted, metric_type type) {
  std::vector<std::string> names;
  auto fail = [&](const std::string& name, std::string_view why) {
    throw error(observe_errc::bad_label,
                "metric '" + std::string(metric) + "', label '" + name + "': " + std::string(why));
  };
  for (const auto& [name, value] : sorted) {
    if (!prometheus::CheckLabelName(name) || name.find(':') != std::string::npos)
      fail(name, "a label's name is letters, digits and '_', does not start with a digit or with \"__\"");
    if (type == metric_type::histogram && name == "le") fail(name, "this name is the histogram's own");
    if (!names.empty() && names.back() == name) fail(name, "it comes twice");
    names.push_back(name);
  }
  return names;
}

void check_bounds(std::string_view metric, std::span<const double> bounds) {
  bool good = !bounds.empty() && std::all_of(bounds.begin(), bounds.end(), [](double b) { return std::isfinite(b); }) &&
              std::adjacent_find(bounds.begin(), bounds.end(), std::greater_equal<>()) == bounds.end();
  if (!good)
    throw error(observe_errc::bad_buckets,
                "histogram '" + std::string(metric) + "': upper bounds must be finite and ascending, at least one");
}

[[noreturn]] void conflict(std::string_view name, const std::string& what) {
  throw error(observe_errc::metric_conflict, "metric '" + std::string(name) + "' " + what);
}

void check_same(std::string_view name, const family& known, metric_type type,
                const std::vector<std::string>& label_names, std::span<const double> bounds) {
  if (known.type != type)
    conflict(name, "exists as a " + std::string(type_name(known.type)) + " and can't be a " +
                       std::string(type_name(type)) + " too");
  if (known.label_names != label_names)
    conflict(name, "has the labels " + joined(known.label_names) + " and can't have " + joined(label_names) + " too");
  if (!std::equal(bounds.begin(), bounds.end(), known.bounds.begin(), known.bounds.end()))
    conflict(name, "exists with other buckets");
}

// A histogram's series have names of their own, which no other metric may have.
template <class Families>
void check_free(const Families& families, std::string_view name, metric_type type) {
  for (std::string_view suffix : {"_bucket", "_count", "_sum"}) {
    if (type == metric_type::histogram && families.find(std::string(name) + std::string(suffix)) != families.end())
      conflict(name, "can't be a histogram: '" + std::string(name) + std::string(suffix) + "' exists");
    if (!name.ends_with(suffix)) continue;
    auto whole = families.find(name.substr(0, name.size() - suffix.size()));
    if (whole != families.end() && whole->second.type == metric_type::histogram)
      conflict(name, "is a series of the histogram '" + whole->first + "'");
  }
}

// As it stands behind HELP. The serializer escapes the values of labels alone.
std::string escaped_help(std::string_view help) {
  std::string text;
  for (char c : help) {
    if (c == '\\')
      text += "\\\\";
    else if (c == '\n')
      text += "\\n";
    else
      text += c;
  }
  return text;
}

series make_series(const family& of, labels with) {
  series made;
  made.with = std::move(with);
  switch (of.type) {
    case metric_type::counter:
      made.counter = std::make_unique<detail::counter_cells>();
      break;
    case metric_type::gauge:
      made.gauge = std::make_unique<std::atomic<double>>(0);
      break;
    case metric_type::histogram:
      made.histogram = std::make_unique<detail::histogram_cells>(of.bounds);
      break;
  }
  return made;
}

prometheus::MetricType prometheus_type(metric_type type) {
  switch (type) {
    case metric_type::counter:
      return prometheus::MetricType::Counter;
    case metric_type::gauge:
      return prometheus::MetricType::Gauge;
    case metric_type::histogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric::Histogram reading_of(const detail::histogram_cells& cells) {
  detail::histogram_cells::reading now = cells.read();
  prometheus::ClientMetric::Histogram out;
  out.sample_count = now.count;
  out.sample_sum = now.sum;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < now.buckets.size(); ++i) {
    cumulative += now.buckets[i];
    bool last = i == cells.bounds().size();
    out.bucket.push_back({cumulative, last ? HUGE_VAL : cells.bounds()[i]});
  }
  return out;
}

prometheus::ClientMetric snapshot(const series& s) {
  prometheus::ClientMetric out;
  for (const auto& [name, value] : s.with) out.label.push_back({name, value});
  if (s.counter) out.counter.value = static_cast<double>(s.counter->sum());
  if (s.gauge) out.gauge.value = s.gauge->load(std::memory_order_relaxed);
  if (s.histogram) out.histogram = reading_of(*s.histogram);
  return out;
}

}  // namespace

series& registry::implementation::find(std::string_view name, std::string_view help, metric_type type,
                                       const labels& with, std::span<const double> bounds) {
  check_name(name);
  labels sorted = with;
  for (auto& [label, value] : sorted) value = log::valid_utf8(value);
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> names = checked_label_names(name, sorted, type);
  std::lock_guard lock(mutex);
  auto known = families.find(name);
  if (known == families.end()) {
    check_free(families, name, type);
    family fresh{escaped_help(log::valid_utf8(help)), type, names, {bounds.begin(), bounds.end()}, {}};
    known = families.emplace(name, std::move(fresh)).first;
  }
  family& of = known->second;
  check_same(name, of, type, names, bounds);
  auto found = of.all.find(sorted);
  if (found == of.all.end()) {
    if (!sorted.empty() && of.all.size() >= options.most_series)
      for (auto& [label, value] : sorted) value = overflow_value;
    found = of.all.try_emplace(sorted, make_series(of, sorted)).first;
  }
  return found->second;
}

registry::registry(registry_options options) : implementation_(std::make_unique<implementation>()) {
  implementation_->options = options;
}

registry::~registry() = default;

counter registry::counter(std::string_view name, std::string_view help, const labels& with) {
  return metrics::counter(implementation_->find(name, help, metric_type::counter, with, {}).counter.get());
}

gauge registry::gauge(std::string_view name, std::string_view help, const labels& with) {
  return metrics::gauge(implementation_->find(name, help, metric_type::gauge, with, {}).gauge.get());
}

histogram registry::histogram(std::string_view name, std::string_view help, std::span<const double> upper_bounds,
                              const labels& with) {
  check_bounds(name, upper_bounds);
  return metrics::histogram(
      implementation_->find(name, help, metric_type::histogram, with, upper_bounds).histogram.get());
}

std::uint64_t registry::add_hook(std::function<void()> hook) {
  std::lock_guard lock(implementation_->hooks_mutex);
  std::uint64_t key = implementation_->next_hook++;
  implementation_->hooks.emplace(key, std::make_shared<std::function<void()>>(std::move(hook)));
  return key;
}

void registry::remove_hook(std::uint64_t key) noexcept {
  std::lock_guard lock(implementation_->hooks_mutex);
  implementation_->hooks.erase(key);
}

std::string registry::render() const {
  std::vector<prometheus::MetricFamily> collected;
  {
    std::lock_guard lock(implementation_->hooks_mutex);
    for (auto next = implementation_->hooks.begin(); next != implementation_->hooks.end();) {
      std::uint64_t key = next->first;
      std::shared_ptr<std::function<void()>> hook = next->second;  // it may remove itself
      (*hook)();
      next = implementation_->hooks.upper_bound(key);
    }
    for (auto& collect : implementation_->collectors) collect(collected);
  }
  {
    std::lock_guard lock(implementation_->mutex);
    for (const auto& [name, of] : implementation_->families) {
      prometheus::MetricFamily& out = collected.emplace_back();
      out.name = name;
      out.help = of.help;
      out.type = prometheus_type(of.type);
      for (const auto& [with, s] : of.all) out.metric.push_back(snapshot(s));
    }
  }
  std::ostringstream text;
  text.imbue(std::locale::classic());
  prometheus::TextSerializer().Serialize(text, collected);
  return std::move(text).str();
}

registry& default_registry() {
  static registry* instance = [] {
    auto* made = new registry;
    collect_process_metrics(*made);
    return made;
  }();
  return *instance;
}

std::span<const double> duration_buckets() noexcept {
  static constexpr double bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                      0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
  return bounds;
}

std::span<const double> size_buckets() noexcept {
  static constexpr double bounds[] = {64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
  return bounds;
}

std::span<const double> count_buckets() noexcept {
  static constexpr double bounds[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};
  return bounds;
}

}  // namespace penstock::metrics
