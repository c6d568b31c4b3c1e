#pragma once

// What runs tasks: it has the time, the ready queue, the timers, and the randomness of everything that runs on it.
// `net::event_loop` is the production scheduler, `testing::simulation` the virtual-time one. Code above room `net`
// asks `scheduler::current()` for the time and never a clock, and so runs in virtual time unchanged.
//
//   time_point start = scheduler::current().now();

#include "penstock/async/detail/list.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <vector>

namespace penstock {

class scheduler_observer;
namespace detail {
class promise_base;
class scope_state;
}  // namespace detail

/// Durations are nanoseconds throughout.
using duration = std::chrono::nanoseconds;
/// A point on the scheduler's steady clock.
using time_point = std::chrono::time_point<std::chrono::steady_clock, duration>;
/// A point on the scheduler's wall clock.
using system_time = std::chrono::time_point<std::chrono::system_clock, duration>;

/// Something the scheduler will call once. Owned by whoever made it; destroying it takes it off the queue it is on.
/// On a queue of one thread only.
class work_item : public detail::list_hook {
 public:
  using function = void (*)(work_item&) noexcept;
  explicit work_item(function run) noexcept : run_(run) {}
  void run() noexcept { run_(*this); }
  /// True when it is this function that runs.
  bool runs(function f) const noexcept { return run_ == f; }

 private:
  function run_;
};

class scheduler;

/// A call at a point in time. Owned by whoever made it; destroying it cancels it.
class timer {
 public:
  using function = void (*)(timer&) noexcept;
  explicit timer(function fire, std::source_location made_at = std::source_location::current()) noexcept
      : fire_(fire), made_at_(made_at) {}
  timer(const timer&) = delete;
  timer& operator=(const timer&) = delete;
  ~timer() { cancel(); }

  /// True between `scheduler::add_timer` and firing or cancelling.
  bool pending() const noexcept { return owner_ != nullptr; }
  /// When it fires or fired.
  time_point deadline() const noexcept { return deadline_; }
  /// Where in the source it was made.
  const std::source_location& made_at() const noexcept { return made_at_; }
  /// Takes it back; nothing when it is not pending.
  void cancel() noexcept;

 private:
  friend class scheduler;

  function fire_;
  scheduler* owner_ = nullptr;
  time_point deadline_{};
  std::size_t position_ = 0;
  std::source_location made_at_;
};

/// Base of all schedulers: ready queue (FIFO) and timers (by deadline, then by order of adding). Belongs to one
/// thread; only `post_from_any_thread` may be called from others.
class scheduler {
 public:
  scheduler();
  scheduler(const scheduler&) = delete;
  scheduler& operator=(const scheduler&) = delete;
  virtual ~scheduler();

  /// The scheduler of the running task. Throws `error` with `async_errc::no_scheduler` outside one.
  static scheduler& current();
  /// As `current`, or null outside a task.
  static scheduler* current_or_null() noexcept;

  /// Tells it from every other one of the process, also from those that are gone.
  std::uint64_t number() const noexcept { return number_; }

  /// The steady time, the same during one turn of the loop.
  virtual time_point now() const noexcept = 0;
  /// The wall-clock time.
  virtual system_time wall_now() const noexcept = 0;
  /// 64 random bits; reproducible under the simulation. Not for secrets.
  std::uint64_t random() noexcept;

  /// Queues an item to run in this or the next turn. No allocation. One that is queued already stays where it is, and
  /// the unhandled-error hook is told (`async_errc::woken_twice`): whatever posted it has a defect.
  void post(work_item& item) noexcept {
    if (item.linked()) [[unlikely]]
      return report_posted_twice(item);
    ready_.push_back(item);
  }
  /// Queues an item from another thread and wakes the loop. The item must stay alive until it has run.
  virtual void post_from_any_thread(work_item& item) = 0;
  /// Runs an item on a worker thread, where it may block. The item must stay alive until it has run.
  virtual void run_blocking(work_item& item) = 0;

  /// Arms a timer, which must not be pending. A deadline in the past fires in the next turn. No allocation in steady
  /// state.
  void add_timer(timer& t, time_point deadline);

  /// Who watches what runs here; null in production.
  scheduler_observer* observer() const noexcept { return observer_; }
  /// Makes `o` the observer; null for none. While no task runs.
  void observe(scheduler_observer* o) noexcept { observer_ = o; }
  /// Calls `visit` with each pending timer, in no particular order.
  template <class Visit>
  void for_each_timer(Visit visit) const {
    for (const timer_entry& e : timers_) visit(*e.armed);
  }

  /// Runs until `done` is true. Called by `run_on`, whose task runs below `root`. Not reentrant:
  /// a task does not run another on its own scheduler, but awaits it.
  virtual void run_until(const bool& done, detail::scope_state& root) = 0;

 protected:
  /// Makes this the current scheduler of the thread for a scope.
  class running_scope {
   public:
    explicit running_scope(scheduler& s) noexcept;
    running_scope(const running_scope&) = delete;
    running_scope& operator=(const running_scope&) = delete;
    ~running_scope();

   private:
    scheduler* previous_;
  };

  bool has_ready() const noexcept { return !ready_.empty(); }
  /// Runs at most `most` of the items that are ready, first come first served; returns how many it ran.
  std::size_t run_ready(std::size_t most) noexcept;
  /// The earliest deadline of all timers.
  std::optional<time_point> next_deadline() const noexcept;
  /// Fires the timers whose deadline is at or before `now`; returns how many.
  std::size_t fire_timers(time_point now) noexcept;
  /// What is ready, first come first. A scheduler with an order of its own takes items from anywhere in it.
  detail::list<work_item>& ready() noexcept { return ready_; }
  /// The task that an item starts or resumes; null for an item of another kind.
  static const detail::promise_base* task_of(const work_item& item) noexcept;
  /// A number that each call of `random` changes.
  std::uint64_t random_position() const noexcept { return random_state_; }
  /// Sets the start of the random sequence.
  void seed(std::uint64_t value) noexcept { random_state_ = value; }

 private:
  friend class timer;
  static void report_posted_twice(const work_item& item) noexcept;
  // What orders a timer stands in the heap, so that looking for a place touches no timer but those that move.
  struct timer_entry {
    time_point deadline;
    std::uint64_t sequence;
    timer* armed;
  };
  void remove_timer(timer& t) noexcept;
  void sift_up(std::size_t position) noexcept;
  void sift_down(std::size_t position) noexcept;
  void place(std::size_t position, const timer_entry& e) noexcept;
  static bool earlier(const timer_entry& a, const timer_entry& b) noexcept;

  const std::uint64_t number_;
  scheduler_observer* observer_ = nullptr;
  detail::list<work_item> ready_;
  std::vector<timer_entry> timers_;  // a heap whose nodes have four children
  std::uint64_t timer_sequence_ = 0;
  time_point firing_ = time_point::min();  // the time for which timers are being fired
  std::uint64_t random_state_ = 0x9e3779b97f4a7c15ULL;
};

}  // namespace penstock
