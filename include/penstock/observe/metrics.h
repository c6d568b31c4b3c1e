#pragma once

// Counters, gauges and histograms in the manner of Prometheus, for `/metrics`. Get the handle once, where the object
// that counts is made; counting is then a few nanoseconds, without a lock, from any thread.
//
//   metrics::counter stored = metrics::default_registry().counter(
//       "penstock_items_stored_total", "Items committed.", {{"stream", "orders"}});
//   stored.add(batch.size());
//
// Keep label values few: no ids, no paths with ids, no user input.

#include "penstock/observe/detail/cells.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::metrics {

class registry;

/// A number that only rises. A cheap copyable handle; valid as long as its registry. A default-made one counts nothing.
class counter {
 public:
  counter() = default;
  /// Adds `n`. Thread-safe.
  void add(std::uint64_t n = 1) const noexcept {
    if (cells_ != nullptr) cells_->add(n);
  }
  /// The sum so far.
  std::uint64_t value() const noexcept { return cells_ == nullptr ? 0 : cells_->sum(); }

 private:
  friend class registry;
  explicit counter(detail::counter_cells* cells) noexcept : cells_(cells) {}
  detail::counter_cells* cells_ = nullptr;
};

/// A number that rises and falls. A handle as `counter` is.
class gauge {
 public:
  gauge() = default;
  /// Sets the value. Thread-safe, as the rest.
  void set(double value) const noexcept {
    if (cell_ != nullptr) cell_->store(value, std::memory_order_relaxed);
  }
  void add(double n = 1) const noexcept {
    if (cell_ != nullptr) cell_->fetch_add(n, std::memory_order_relaxed);
  }
  void sub(double n = 1) const noexcept { add(-n); }
  double value() const noexcept { return cell_ == nullptr ? 0 : cell_->load(std::memory_order_relaxed); }

 private:
  friend class registry;
  explicit gauge(std::atomic<double>* cell) noexcept : cell_(cell) {}
  std::atomic<double>* cell_ = nullptr;
};

/// How observed values are distributed over buckets. A handle as `counter` is.
class histogram {
 public:
  histogram() = default;
  /// Counts a value. Thread-safe.
  void observe(double value) const noexcept {
    if (cells_ != nullptr) cells_->observe(value);
  }
  /// Counts a duration, in seconds.
  template <class Rep, class Period>
  void observe(std::chrono::duration<Rep, Period> elapsed) const noexcept {
    observe(std::chrono::duration<double>(elapsed).count());
  }
  /// How many values were observed.
  std::uint64_t count() const noexcept { return cells_ == nullptr ? 0 : cells_->read().count; }
  /// Their sum.
  double sum() const noexcept { return cells_ == nullptr ? 0 : cells_->read().sum; }

 private:
  friend class registry;
  explicit histogram(detail::histogram_cells* cells) noexcept : cells_(cells) {}
  detail::histogram_cells* cells_ = nullptr;
};

/// Label names and values, in any order.
using labels = std::vector<std::pair<std::string, std::string>>;

/// Upper bounds for durations in seconds: 100 us to 10 s.
std::span<const double> duration_buckets() noexcept;
/// Upper bounds for sizes in bytes: 64 B to 64 MiB.
std::span<const double> size_buckets() noexcept;
/// Upper bounds for counts, such as rows of a batch: 1 to 10,000.
std::span<const double> count_buckets() noexcept;

/// How a registry is set up.
struct registry_options {
  /// Label combinations a metric may have. What comes after is counted under the value "other" for every label, so
  /// that labels made of user input can't fill the memory. Raise it for many streams.
  std::size_t most_series = 1000;
};

/// Metrics by name. Asking for a metric that exists gives a handle to the same numbers. Thread-safe.
///
/// All three functions throw `observe_errc::bad_metric_name` or `bad_label` for names Prometheus would refuse, and
/// `metric_conflict` when the name is taken by another type, other label names or other buckets.
class registry {
 public:
  explicit registry(registry_options options = {});
  registry(const registry&) = delete;
  registry& operator=(const registry&) = delete;
  ~registry();

  /// A counter; its name should end with `_total`. `help` is one sentence; the first one given stays.
  metrics::counter counter(std::string_view name, std::string_view help, const labels& with = {});
  /// A gauge; its name ends with the unit where it has one (`_bytes`, `_seconds`).
  metrics::gauge gauge(std::string_view name, std::string_view help, const labels& with = {});
  /// A histogram with these upper bounds, ascending and finite (`observe_errc::bad_buckets`); one for what is above
  /// is added.
  metrics::histogram histogram(std::string_view name, std::string_view help,
                               std::span<const double> upper_bounds = duration_buckets(), const labels& with = {});

  /// Calls `hook` before each `render`, to set gauges from values that are kept elsewhere. It is called on the
  /// rendering thread, must not throw, and may add and remove hooks. Gives a key for `remove_hook`.
  std::uint64_t add_hook(std::function<void()> hook);
  /// Once it returns, the hook is not called any more; from another thread, it waits for one that runs.
  void remove_hook(std::uint64_t key) noexcept;

  /// Everything in the Prometheus text format, version 0.0.4: serve it as `text/plain; version=0.0.4`.
  std::string render() const;

 private:
  friend void collect_process_metrics(registry& into);
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

/// The registry of the process, never destroyed. It has the process metrics.
registry& default_registry();

/// Adds the process's own metrics: `process_cpu_seconds_total`, `process_resident_memory_bytes`,
/// `process_virtual_memory_bytes`, `process_open_fds`, `process_max_fds`, `process_threads` and
/// `process_start_time_seconds`, read from /proc when rendered.
void collect_process_metrics(registry& into);

}  // namespace penstock::metrics
