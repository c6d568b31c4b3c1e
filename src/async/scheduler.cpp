#include "penstock/async/scheduler.h"

#include "penstock/async/detail/promise.h"
#include "penstock/async/error.h"
#include "penstock/async/scheduler_observer.h"
#include "penstock/async/suspension.h"

#include <algorithm>
#include <utility>

// Timers are a binary heap of pointers; each timer knows its position, so cancelling costs as much as adding.

namespace penstock {
namespace {
constinit thread_local scheduler* current_scheduler = nullptr;
}  // namespace

scheduler::scheduler() = default;

scheduler::~scheduler() {
  for (timer* t : timers_) t->owner_ = nullptr;
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

std::size_t scheduler::run_ready(std::size_t most) noexcept {
  std::size_t count = 0;
  for (; count < most && !ready_.empty(); ++count) ready_.pop_front().run();
  return count;
}

std::optional<time_point> scheduler::next_deadline() const noexcept {
  if (timers_.empty()) return std::nullopt;
  return timers_.front()->deadline_;
}

std::size_t scheduler::fire_timers(time_point now) noexcept {
  std::size_t count = 0;
  // A timer that is added meanwhile, by one that rearms itself say, waits for the next turn even when it is due.
  std::uint64_t first_of_next_turn = timer_sequence_;
  firing_ = now;
  for (; !timers_.empty() && timers_.front()->deadline_ <= now; ++count) {
    timer& due = *timers_.front();
    if (due.sequence_ >= first_of_next_turn) break;
    remove_timer(due);
    due.fire_(due);
  }
  firing_ = time_point::min();
  return count;
}

void scheduler::add_timer(timer& t, time_point deadline) {
  t.owner_ = this;
  // So that it stands behind those that are due in this turn.
  t.deadline_ = std::max(deadline, firing_);
  t.sequence_ = timer_sequence_++;
  timers_.push_back(&t);
  sift_up(timers_.size() - 1);
}

void timer::cancel() noexcept {
  if (owner_ != nullptr) owner_->remove_timer(*this);
}

void scheduler::remove_timer(timer& t) noexcept {
  std::size_t hole = t.position_;
  t.owner_ = nullptr;
  timer* last = timers_.back();
  timers_.pop_back();
  if (last == &t) return;
  timers_[hole] = last;
  last->position_ = hole;
  sift_up(hole);
  sift_down(last->position_);
}

bool scheduler::earlier(const timer& a, const timer& b) noexcept {
  if (a.deadline_ != b.deadline_) return a.deadline_ < b.deadline_;
  return a.sequence_ < b.sequence_;
}

void scheduler::sift_up(std::size_t position) noexcept {
  timer* moving = timers_[position];
  while (position > 0) {
    std::size_t parent = (position - 1) / 2;
    if (!earlier(*moving, *timers_[parent])) break;
    timers_[position] = timers_[parent];
    timers_[position]->position_ = position;
    position = parent;
  }
  timers_[position] = moving;
  moving->position_ = position;
}

void scheduler::sift_down(std::size_t position) noexcept {
  timer* moving = timers_[position];
  for (;;) {
    std::size_t child = 2 * position + 1;
    if (child >= timers_.size()) break;
    if (child + 1 < timers_.size() && earlier(*timers_[child + 1], *timers_[child])) ++child;
    if (!earlier(*timers_[child], *moving)) break;
    timers_[position] = timers_[child];
    timers_[position]->position_ = position;
    position = child;
  }
  timers_[position] = moving;
  moving->position_ = position;
}

}  // namespace penstock
