#include "penstock/testing/simulation.h"

#include "penstock/async/detail/promise.h"
#include "penstock/async/error.h"
#include "penstock/async/suspension.h"
#include "penstock/async/timeout.h"
#include "penstock/core/units.h"
#include "penstock/testing/allow_real_io.h"
#include "penstock/testing/error.h"
#include "simulation_state.h"

#include <algorithm>
#include <utility>

// Time stands still while anything can run: ready tasks first, then timers that are due, then whoever settles, then the
// next timer.

namespace penstock::testing {
namespace {

constexpr time_point start{std::chrono::hours(1)};
constexpr system_time wall_start{std::chrono::seconds(946'684'800)};

std::string below(const report_sections& sections) {
  std::string text = sections.text();
  return text.empty() ? text : "\n" + text;
}

}  // namespace

simulation::simulation(simulation_options options)
    : options_(std::move(options)),
      now_(start),
      wall_offset_(wall_start.time_since_epoch() - start.time_since_epoch()),
      state_(std::make_unique<state>(*this, options_)) {
  seed(options_.seed);
  observe(state_.get());
}

simulation::~simulation() {
  // What workers posted last has to be let go. A task that is ready is somebody's still, and no longer goes on.
  running_scope running(*this);
  while (has_ready()) {
    work_item& item = ready().pop_front();
    if (task_of(item) == nullptr) item.run();
  }
}

void simulation::run_until(const bool& done, detail::scope_state&) {
  running_scope running(*this);
  std::uint64_t steps = 0;
  while (!done) {  // Set by a task that a turn runs.
    if (steps++ == state_->most_steps)
      fail("the simulation made " + std::to_string(state_->most_steps) + " steps without an end");
    if (const watchdog* w = state_->overdue.load(std::memory_order_relaxed)) [[unlikely]]
      w->end_program(list_tasks());
    if (has_ready()) {
      run_one();
      continue;
    }
    std::optional<time_point> next = next_deadline();
    bool due = next && *next <= now_;
    if (!due && release_settled()) continue;
    if (!next) fail_blocked();
    if (*next > now_) {
      now_ = *next;
      state_->trace.time_went_on(elapsed());
    }
    if (elapsed() > state_->most_time) fail("the simulation ran for " + format_duration(elapsed()) + " without an end");
    fire_timers(now_);
  }
}

void simulation::run_one() {
  state& s = *state_;
  auto [item, place] = s.order.next(ready(), s.tasks, [](const work_item& i) { return task_of(i); });
  item.unlink();
  const detail::promise_base* task = task_of(item);
  const task_table::record* record = s.tasks.of(task);
  std::uint64_t number = record == nullptr ? 0 : record->number;
  s.trace.resumed(elapsed(), number, place, random_position(),
                  task == nullptr ? std::source_location() : task->await_site());
  if (task != nullptr) s.tasks.resumed(*task);
  if (const suspension* wait = suspension::of(item); wait != nullptr && s.probe != nullptr) s.probe->resumes(*wait);
  s.new_wait = nullptr;
  item.run();
  if (s.new_wait != nullptr && s.probe != nullptr) s.probe->waits(*s.new_wait);
}

bool simulation::release_settled() {
  bool any = !state_->settling.empty();
  while (!state_->settling.empty()) state_->settling.pop_front().release();
  return any;
}

void simulation::fail(const std::string& what) const {
  throw error(async_errc::deadlock, what + "; its tasks:" + list_tasks() + below(*sections_));
}

void simulation::fail_blocked() const {
  std::size_t count = 0;
  std::string list = state_->tasks.blocked(elapsed(), count);
  throw error(async_errc::deadlock, "deadlock at " + format_duration(elapsed()) + ": " + std::to_string(count) +
                                        " tasks wait and no timer is left" + list + below(*sections_));
}

simulation& simulation::current() {
  if (simulation* running = current_or_null()) return *running;
  throw error(async_errc::no_scheduler, "no simulation runs on this thread: call this from a task that one runs");
}

simulation* simulation::current_or_null() noexcept { return dynamic_cast<simulation*>(scheduler::current_or_null()); }

random_stream& simulation::random_for(std::string_view concern) {
  auto found = random_streams_.find(concern);
  if (found == random_streams_.end()) {
    // In two steps, for the name that the stream keeps a view of.
    found = random_streams_.emplace(concern, random_stream(0)).first;
    found->second = random_stream(options_.seed, found->first, state_->trace);
  }
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

ledger& simulation::open_things() noexcept { return state_->open_things; }

std::vector<std::string> simulation::leaks() const {
  std::vector<std::string> lines;
  for (const std::string& task : state_->tasks.unfinished()) lines.push_back("task " + task);
  for_each_timer([&](const timer& t) {
    lines.push_back("timer made at " + place_text(t.made_at()) + ", due " + format_duration(t.deadline() - now_) +
                    " after the end");
  });
  for (const ledger::record& r : state_->open_things.open()) lines.push_back(ledger_text(r));
  return lines;
}

std::string simulation::list_tasks() const { return state_->tasks.all(elapsed()); }

const run_trace& simulation::trace() const noexcept { return state_->trace; }

schedule simulation::schedule_made() const { return {.changes = state_->order.changes_made()}; }

std::uint32_t simulation::state::task_started(const detail::promise_base& task, const task_origin& origin) noexcept {
  std::uint32_t number = tasks.add(task, origin);
  tasks.at(number).priority = order.initial_priority();
  return number;
}

void simulation::state::suspended(const suspension& wait) noexcept {
  tasks.suspended(wait, owner.elapsed());
  new_wait = &wait;
}

void simulation::state::real_operation(std::string_view what, std::source_location where) {
  if (allow_real_io::in_force()) return;
  throw error(testing_errc::real_operation,
              std::string(what) +
                  " in a simulation: virtual time does not wait for it, and no run repeats it. Use a "
                  "simulated one, or PENSTOCK_TEST_REAL_TIME, or an allow_real_io guard",
              {}, where);
}

void settle_awaiter::enqueue() { simulation::current().internals().settling.push_back(*this); }

settle_awaiter settle() {
  simulation::current();
  return {};
}

task<void> sleep_and_settle(duration d) {
  co_await sleep_for(d);
  co_await settle();
}

}  // namespace penstock::testing
