#pragma once

// Takes work that blocks or computes for long off the loop.
//
//   std::string text = co_await on_worker([&] { return read_file(path); });

#include "penstock/async/detail/result.h"
#include "penstock/async/detail/worker_call.h"
#include "penstock/async/suspension.h"

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace penstock {

namespace detail {
struct no_interrupt {
  void operator()() const noexcept {}
};
}  // namespace detail

/// Awaitable of `on_worker`.
template <class Fn, class Interrupt = detail::no_interrupt>
class [[nodiscard]] worker_awaiter : public suspension {
 public:
  using result = std::invoke_result_t<Fn&>;
  static_assert(!std::is_reference_v<result>, "fn gives a reference: let it give a pointer or a copy");

  explicit worker_awaiter(Fn fn, Interrupt interrupt = {})
      : fn_(std::move(fn)), interrupt_(std::move(interrupt)), call_(&invoke, this, &finished) {}
  ~worker_awaiter() {
    if (running_) interrupt_();
    call_.wait_if_running(!std::is_same_v<Interrupt, detail::no_interrupt>);
  }

  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    if constexpr (std::is_same_v<Interrupt, detail::no_interrupt>)
      suspend_uncancellable(task.promise());
    else
      suspend(task.promise());
    call_.start(waiting_scheduler());
    running_ = true;
  }
  result await_resume() {
    throw_if_cancelled();
    call_.rethrow();
    if constexpr (!std::is_void_v<result>) return std::move(*value_);
  }
  std::string_view waiting_for() const noexcept override { return "a worker thread"; }

 private:
  static void invoke(void* self) {
    auto& me = *static_cast<worker_awaiter*>(self);
    if constexpr (std::is_void_v<result>)
      me.fn_();
    else
      me.value_.emplace(me.fn_());
  }
  static void finished(void* self) noexcept {
    auto& me = *static_cast<worker_awaiter*>(self);
    me.running_ = false;
    me.wake();
  }
  void cancel() noexcept override { interrupt_(); }

  Fn fn_;
  [[no_unique_address]] Interrupt interrupt_;
  std::optional<detail::stored<result>> value_;
  detail::worker_call call_;
  bool running_ = false;
};

/// Runs `fn` on a worker thread and gives its result or exception. A cancel does not cut it short, nor take it back
/// while it waits for a thread: the caller waits for it, and is cancelled at its next wait. Destroying the waiting task
/// blocks until `fn` has returned. `fn` must not touch the scheduler or anything that belongs to the loop. Throws
/// `std::system_error` where the system has no thread for it and none runs yet.
template <class Fn>
worker_awaiter<std::decay_t<Fn>> on_worker(Fn&& fn) {
  return worker_awaiter<std::decay_t<Fn>>(std::forward<Fn>(fn));
}

/// As above, for work that can be asked to end early: a cancel calls `interrupt`, once, on the loop's thread, while
/// `fn` is queued or runs. The caller still waits until `fn` has returned, and gets what it gave or threw. `interrupt`
/// must not throw, and must be safe to call beside `fn`.
template <class Fn, class Interrupt>
worker_awaiter<std::decay_t<Fn>, std::decay_t<Interrupt>> on_worker(Fn&& fn, Interrupt&& interrupt) {
  return worker_awaiter<std::decay_t<Fn>, std::decay_t<Interrupt>>(std::forward<Fn>(fn),
                                                                   std::forward<Interrupt>(interrupt));
}

}  // namespace penstock
