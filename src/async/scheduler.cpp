#include "penstock/async/scheduler.h"

#include "penstock/async/detail/promise.h"
#include "penstock/async/error.h"
#include "penstock/async/scheduler_observer.h"
#include "penstock/async/suspension.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <string>
#include <utility>

// Timers are a heap with four children a node, which is half as deep as one with two; each timer knows its position, so
// cancelling costs as much as adding.

namespace penstock {
namespace {
constinit thread_local scheduler* current_scheduler = nullptr;

std::atomic<std::uint64_t> next_number = 1;

constexpr std::size_t children = 4;
}  // namespace

scheduler::scheduler() : number_(next_number.fetch_add(1, std::memory_order_relaxed)) {}

scheduler::~scheduler() {
  for (timer_entry& e : timers_) e.armed->owner_ = nullptr;
}

scheduler& scheduler::current() {
  if (current_scheduler == nullptr)
    throw error(async_errc::no_scheduler, "no scheduler runs on this thread: call this from a task started by run()");
  return *current_scheduler;
}

scheduler* scheduler::current_or_null() noexcept { return current_scheduler; }

scheduler::running_scope::running_scope(scheduler& s) noexcept : previous_(std::exchange(current_scheduler, &s)) {}
scheduler::running_scope::~running_scope() { current_scheduler = previous_; }

std::uint64_t scheduler::random() noexcept {
  // splitmix64 (Steele, Lea, Flood 2014): small, and any seed will do.
  std::uint64_t z = (random_state_ += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

const detail::promise_base* scheduler::task_of(const work_item& item) noexcept {
  if (const suspension* wait = suspension::of(item)) return wait->waiting_task();
  return detail::promise_base::of(item);
}

void tracked::enter(std::source_location made_at) noexcept {
  made_at_ = made_at;
  scheduler* running = scheduler::current_or_null();
  if (running != nullptr && running->observer() != nullptr) running->observer()->lent(*this);
}

void note_real_operation(std::string_view what, std::source_location where) {
  scheduler* running = scheduler::current_or_null();
  if (running != nullptr && running->observer() != nullptr) running->observer()->real_operation(what, where);
}

void scheduler::report_posted_twice(const work_item& item) noexcept {
  const suspension* wait = suspension::of(item);
  std::string what = wait == nullptr ? "an item" : "a task that waits for " + std::string(wait->waiting_for());
  report_unhandled_error(std::make_exception_ptr(error(async_errc::woken_twice, what + " was woken twice")),
                         "the scheduler");
}

std::size_t scheduler::run_ready(std::size_t most) noexcept {
  std::size_t count = 0;
  for (; count < most && !ready_.empty(); ++count) ready_.pop_front().run();
  return count;
}

std::optional<time_point> scheduler::next_deadline() const noexcept {
  if (timers_.empty()) return std::nullopt;
  return timers_.front().deadline;
}

std::size_t scheduler::fire_timers(time_point now) noexcept {
  std::size_t count = 0;
  // A timer that is added meanwhile, by one that rearms itself say, waits for the next turn even when it is due.
  std::uint64_t first_of_next_turn = timer_sequence_;
  firing_ = now;
  for (; !timers_.empty() && timers_.front().deadline <= now; ++count) {
    if (timers_.front().sequence >= first_of_next_turn) break;
    timer& due = *timers_.front().armed;
    remove_timer(due);
    due.fire_(due);
  }
  firing_ = time_point::min();
  return count;
}

void scheduler::add_timer(timer& t, time_point deadline) {
  // So that it stands behind those that are due in this turn.
  t.deadline_ = std::max(deadline, firing_);
  timers_.push_back({t.deadline_, timer_sequence_++, &t});
  t.owner_ = this;
  sift_up(timers_.size() - 1);
}

void timer::cancel() noexcept {
  if (owner_ != nullptr) owner_->remove_timer(*this);
}

void scheduler::remove_timer(timer& t) noexcept {
  std::size_t hole = t.position_;
  t.owner_ = nullptr;
  timer_entry last = timers_.back();
  timers_.pop_back();
  if (last.armed == &t) return;
  place(hole, last);
  sift_up(hole);
  sift_down(last.armed->position_);
}

bool scheduler::earlier(const timer_entry& a, const timer_entry& b) noexcept {
  if (a.deadline != b.deadline) return a.deadline < b.deadline;
  return a.sequence < b.sequence;
}

void scheduler::place(std::size_t position, const timer_entry& e) noexcept {
  timers_[position] = e;
  e.armed->position_ = position;
}

void scheduler::sift_up(std::size_t position) noexcept {
  timer_entry moving = timers_[position];
  while (position > 0) {
    std::size_t parent = (position - 1) / children;
    if (!earlier(moving, timers_[parent])) break;
    place(position, timers_[parent]);
    position = parent;
  }
  place(position, moving);
}

void scheduler::sift_down(std::size_t position) noexcept {
  timer_entry moving = timers_[position];
  for (;;) {
    std::size_t first = children * position + 1;
    if (first >= timers_.size()) break;
    std::size_t end = std::min(first + children, timers_.size());
    std::size_t child = first;
    for (std::size_t other = first + 1; other < end; ++other)
      if (earlier(timers_[other], timers_[child])) child = other;
    if (!earlier(timers_[child], moving)) break;
    place(position, timers_[child]);
    position = child;
  }
  place(position, moving);
}

}  // namespace penstock
