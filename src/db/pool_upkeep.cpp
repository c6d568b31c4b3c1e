#include "penstock/async/error.h"
#include "penstock/db/error.h"
#include "pool_implementation.h"

// What pool::run does: one piece of upkeep after another, then a nap until the next is due. settle() ends the nap when
// there is something to do earlier.

namespace penstock::db {

class pool::implementation::nap final : public suspension {
 public:
  nap(implementation& home, time_point until) noexcept : home_(home), until_(until), timer_(*this) {}
  nap(const nap&) = delete;
  nap& operator=(const nap&) = delete;
  ~nap() { home_.napping = nullptr; }

  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    suspend(task.promise());
    home_.napping = this;
    if (until_ != time_point::max()) waiting_scheduler().add_timer(timer_, until_);
  }
  void await_resume() const { throw_if_cancelled(); }
  std::string_view waiting_for() const noexcept override { return "a pool's next upkeep"; }

  void end() noexcept {
    home_.napping = nullptr;
    timer_.cancel();
    wake();
  }

 private:
  struct alarm : timer {
    explicit alarm(nap& n) noexcept : timer(&fire), owner(n) {}
    static void fire(timer& t) noexcept { static_cast<alarm&>(t).owner.end(); }
    nap& owner;
  };
  void cancel() noexcept override {
    home_.napping = nullptr;
    timer_.cancel();
    wake_cancelled();
  }

  implementation& home_;
  time_point until_;
  alarm timer_;
};

task<void> pool::implementation::keep() {
  while (!state.closed()) {
    pool_state::upkeep next = state.next_upkeep(scheduler::current().now());
    close_retired();
    publish();
    if (!next.grant) {
      nap until_due(*this, next.until);
      co_await until_due;
      continue;
    }
    task<void> tending = tend(take(*next.grant));
    co_await std::move(tending);
  }
}

// A connect that fails was logged, and is tried again after the pause.
task<void> pool::implementation::tend(offer o) {
  try {
    if (o.step == pool_step::connect) {
      task<void> connecting = connect(o.slot);
      co_await std::move(connecting);
    } else {
      task<bool> checking = check(o.slot, o.step);
      co_await std::move(checking);
    }
  } catch (const operation_cancelled&) {
    if (!state.closed() || is_cancelled()) throw;
  } catch (...) {
    if (o) throw;
  }
}

void pool::implementation::wake_keeper() noexcept {
  if (napping != nullptr && (state.closed() || state.needs_upkeep())) napping->end();
}

}  // namespace penstock::db
