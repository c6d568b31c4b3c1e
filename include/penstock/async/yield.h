#pragma once

#include "penstock/async/suspension.h"

namespace penstock {

/// Awaitable of `yield`.
class [[nodiscard]] yield_awaiter : public suspension {
 public:
  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    suspend(task.promise());
    post_self();
  }
  void await_resume() {
    check_cancelled();
    throw_if_cancelled();
  }

 private:
  void post_self() noexcept;
  void cancel() noexcept override {}
};

/// Lets every other ready task run before this one goes on. For long computations between waits. Cancellable.
inline yield_awaiter yield() noexcept { return {}; }

}  // namespace penstock
