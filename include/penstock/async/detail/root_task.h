#pragma once

#include "penstock/async/detail/promise.h"
#include "penstock/async/detail/scope.h"
#include "penstock/async/scheduler.h"

namespace penstock::detail {

// The scope of a task without a parent.
class root_task {
 public:
  explicit root_task(scheduler& s) noexcept : scheduler_(s), scope_(s) {}

  // Drives the scheduler until the task has ended; rethrows its failure.
  void run(promise_base& main, std::source_location where);
  scope_state& scope() noexcept { return scope_; }

 private:
  scheduler& scheduler_;
  scope_state scope_;
  bool done_ = false;
};

}  // namespace penstock::detail
