#include "penstock/observe/traced.h"

#include "penstock/async/error.h"
#include "penstock/core/outcome.h"
#include "penstock/observe/log.h"
#include "penstock/observe/metrics.h"

#include <map>
#include <mutex>
#include <unordered_map>

namespace penstock::detail {

struct traced_metrics {
  metrics::counter calls;
  metrics::counter failures;
  metrics::counter cancellations;
  metrics::histogram durations;
  metrics::gauge in_flight;
};

namespace {

// Names beyond these are counted as "other": they are made up at run time and would fill the memory.
constexpr std::size_t most_names = 1000;

struct text_hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
};
using name_map = std::unordered_map<std::string, const traced_metrics*, text_hash, std::equal_to<>>;

traced_metrics make_metrics(const std::string& name) {
  metrics::registry& all = metrics::default_registry();
  const metrics::labels with = {{"task", name}};
  return {
      all.counter("penstock_task_calls_total", "Calls of traced tasks.", with),
      all.counter("penstock_task_failures_total", "Traced tasks that ended with an exception.", with),
      all.counter("penstock_task_cancellations_total", "Traced tasks that were cancelled.", with),
      all.histogram("penstock_task_duration_seconds", "How long traced tasks took.", metrics::duration_buckets(), with),
      all.gauge("penstock_tasks_in_flight", "Traced tasks that have not ended.", with)};
}

const traced_metrics& shared_metrics(std::string_view name) {
  static std::mutex mutex;
  static auto* known = new std::map<std::string, traced_metrics, std::less<>>;
  std::lock_guard lock(mutex);
  auto found = known->find(name);
  if (found != known->end()) return found->second;
  std::string key(known->size() < most_names ? name : "other");
  return known->try_emplace(key, make_metrics(key)).first->second;
}

}  // namespace

const traced_metrics& traced_metrics_of(std::string_view name) {
  thread_local name_map cache;
  if (auto found = cache.find(name); found != cache.end()) return *found->second;
  const traced_metrics& shared = shared_metrics(name);
  if (cache.size() < most_names) cache.emplace(name, &shared);
  return shared;
}

traced_run::traced_run(const traced_metrics& metrics, std::string_view name)
    : metrics_(metrics), name_(name), clock_(scheduler::current()), start_(clock_.now()) {
  metrics_.calls.add();
  metrics_.in_flight.add();
}

traced_run::~traced_run() {
  if (!ended_) cancelled();
}

duration traced_run::end() noexcept {
  ended_ = true;
  duration elapsed = clock_.now() - start_;
  metrics_.in_flight.sub();
  metrics_.durations.observe(elapsed);
  return elapsed;
}

void traced_run::succeeded() noexcept {
  duration elapsed = end();
  log::debug("task done", {{"task", name_}, {"arguments", arguments_}, {"elapsed", elapsed}, {"outcome", "ok"}});
}

void traced_run::cancelled() noexcept {
  duration elapsed = end();
  metrics_.cancellations.add();
  log::debug("task cancelled",
             {{"task", name_}, {"arguments", arguments_}, {"elapsed", elapsed}, {"outcome", "cancelled"}});
}

void traced_run::failed(const std::exception_ptr& error) noexcept {
  if (exception_as<operation_cancelled>(error) != nullptr) return cancelled();
  duration elapsed = end();
  metrics_.failures.add();
  log::exception(log::level::error, "task failed", error,
                 {{"task", name_}, {"arguments", arguments_}, {"elapsed", elapsed}, {"outcome", "error"}});
}

}  // namespace penstock::detail
