#include "penstock/async/error.h"
#include "penstock/async/gather.h"
#include "penstock/db/error.h"
#include "pool_implementation.h"

// What pool::run does: checks, one after another, and connects beside them, as many as are wanted; then naps until the
// next is due. settle() ends a nap when there is something to do earlier.

namespace penstock::db {

class pool::implementation::nap final : public suspension {
 public:
  // `place` is where settle() finds it.
  nap(nap*& place, time_point until) noexcept : place_(place), until_(until), timer_(*this) {}
  nap(const nap&) = delete;
  nap& operator=(const nap&) = delete;
  ~nap() { place_ = nullptr; }

  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    suspend(task.promise());
    place_ = this;
    if (until_ != time_point::max()) waiting_scheduler().add_timer(timer_, until_);
  }
  void await_resume() const { throw_if_cancelled(); }
  std::string_view waiting_for() const noexcept override { return "a pool's next upkeep"; }

  void end() noexcept {
    place_ = nullptr;
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
    place_ = nullptr;
    timer_.cancel();
    wake_cancelled();
  }

  nap*& place_;
  time_point until_;
  alarm timer_;
};

task<void> pool::implementation::keep(std::shared_ptr<implementation> self) {
  struct duty {
    explicit duty(implementation& p) noexcept : home(p) { home.state.upkeep_connects(true); }
    duty(const duty&) = delete;
    duty& operator=(const duty&) = delete;
    ~duty() {
      home.state.upkeep_connects(false);
      home.settle();
    }
    implementation& home;
  };
  self->stay_at_home();
  duty on_duty(*self);
  task<void> checked = self->keep_checked();
  task<void> connected = self->keep_connected();
  auto both = gather(std::move(checked), std::move(connected));
  co_await std::move(both);
}

task<void> pool::implementation::keep_checked() {
  while (!state.closed()) {
    pool_state::upkeep next = state.next_check(scheduler::current().now());
    settle();
    if (next.grant) {
      task<void> tending = tend(take(*next.grant));
      co_await std::move(tending);
    } else {
      nap until_due(until_check, next.until);
      co_await until_due;
    }
  }
}

task<void> pool::implementation::keep_connected() {
  auto body = [this](task_group& connects) -> task<void> {
    while (!state.closed()) {
      pool_state::upkeep next = state.next_connect(scheduler::current().now());
      if (next.grant) {
        connects.start(tend(take(*next.grant)), "connect of a pool");
      } else {
        nap until_due(until_connect, next.until);
        co_await until_due;
      }
    }
  };
  task<void> connecting = with_task_group(body);
  co_await std::move(connecting);
}

// A connect that fails was logged, and is tried again after the pause.
task<void> pool::implementation::tend(offer o) {
  std::exception_ptr failure;
  try {
    if (o.step == pool_step::connect) {
      task<void> connecting = connect(o.slot);
      co_await std::move(connecting);
    } else {
      task<bool> checking = check(o.slot, o.step);
      co_await std::move(checking);
    }
    o.slot.release();  // now, not once the task is cleared away: before upkeep counts again who waits
  } catch (const operation_cancelled&) {
    if (!state.closed() || is_cancelled()) throw;
  } catch (...) {
    if (o) throw;
    failure = std::current_exception();
  }
  if (failure && !worth_waiting(failure)) refuse_waiting(failure);
}

void pool::implementation::wake_keepers() noexcept {
  if (until_check != nullptr && (state.closed() || state.needs_check())) until_check->end();
  if (until_connect != nullptr && (state.closed() || state.needs_connect())) until_connect->end();
}

}  // namespace penstock::db
