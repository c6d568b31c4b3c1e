#include "penstock/testing/simulation.h"

#include "penstock/async/detail/promise.h"
#include "penstock/async/detail/scope.h"
#include "penstock/async/error.h"
#include "penstock/async/suspension.h"
#include "penstock/core/traceback.h"
#include "penstock/core/units.h"

#include <algorithm>
#include <utility>

namespace penstock::testing {
namespace {

constexpr time_point start{std::chrono::hours(1)};
constexpr system_time wall_start{std::chrono::seconds(946'684'800)};

// Where a blocked task is, innermost first.
void append_await_sites(std::string& out, const detail::promise_base* task) {
  for (; task != nullptr; task = task->parent()) {
    const std::source_location& site = task->await_site();
    out += "\n      at " + std::string(site.file_name()) + ":" + std::to_string(site.line()) + " in " +
           short_function_name(task->definition().function_name());
  }
}

}  // namespace

simulation::simulation(simulation_options options)
    : options_(std::move(options)),
      now_(start),
      wall_offset_(wall_start.time_since_epoch() - start.time_since_epoch()) {
  seed(options_.seed);
}

simulation::~simulation() {
  // What is left belongs to tasks that were destroyed: it only has to be let go.
  while (has_ready()) run_ready(1);
}

simulation& simulation::current() {
  if (simulation* running = current_or_null()) return *running;
  throw error(async_errc::no_scheduler, "no simulation runs on this thread: call this from a task that one runs");
}

simulation* simulation::current_or_null() noexcept { return dynamic_cast<simulation*>(scheduler::current_or_null()); }

random_stream& simulation::random_for(std::string_view concern) {
  auto found = random_streams_.find(concern);
  if (found == random_streams_.end())
    found = random_streams_.emplace(concern, random_stream(options_.seed, concern)).first;
  return found->second;
}

bool simulation::faults_enabled(std::string_view kind) {
  if (!fault_kinds_.contains(kind)) fault_kinds_.emplace(kind);
  return std::none_of(options_.faults_off.begin(), options_.faults_off.end(),
                      [&](const std::string& off) { return off == kind || off == "all"; });
}

system_time simulation::wall_now() const noexcept { return system_time(now_.time_since_epoch() + wall_offset_); }

void simulation::set_wall_clock(system_time t) noexcept {
  wall_offset_ = t.time_since_epoch() - now_.time_since_epoch();
}

duration simulation::elapsed() const noexcept { return now_ - start; }

void simulation::run_until(const bool& done, detail::scope_state& root) {
  running_scope running(*this);
  std::uint64_t steps = 0;
  while (!done) {  // Set by a task that a turn runs.
    if (steps++ == options_.most_steps)
      throw error(async_errc::deadlock, "the simulation made " + std::to_string(steps) + " steps without an end");
    if (run_ready(1) > 0) continue;
    std::optional<time_point> next = next_deadline();
    if (!next) fail_blocked(root);
    if (*next > now_) now_ = *next;
    if (elapsed() > options_.most_time)
      throw error(async_errc::deadlock, "the simulation ran for " + format_duration(elapsed()) + " without an end");
    fire_timers(now_);
  }
}

void simulation::fail_blocked(detail::scope_state& root) const {
  std::size_t count = 0;
  std::string list;
  root.for_each_waiter([&](suspension& s) {
    list += "\n  #" + std::to_string(++count) + " waits for " + std::string(s.waiting_for());
    append_await_sites(list, s.waiting_task());
  });
  throw error(async_errc::deadlock, "deadlock at " + format_duration(elapsed()) + ": " + std::to_string(count) +
                                        " tasks wait and no timer is left" + list);
}

}  // namespace penstock::testing
