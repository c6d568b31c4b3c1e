#pragma once

// One call on a worker thread and its way back. Shared by the awaiting task, the worker and the loop's queue, since
// the task may be destroyed while the worker is at it or the way back is queued.

#include "penstock/async/scheduler.h"

#include <exception>
#include <memory>

namespace penstock::detail {

class worker_call {
 public:
  using function = void (*)(void* context);
  using completion = void (*)(void* context) noexcept;

  worker_call(function run, void* context, completion done) noexcept;
  worker_call(const worker_call&) = delete;
  worker_call& operator=(const worker_call&) = delete;
  ~worker_call();

  void start(scheduler& home);
  // Blocks until the worker has let go of the context; its completion will not be called then. What a call that was
  // asked to end failed with is that end.
  void wait_if_running(bool was_asked_to_end) noexcept;
  void rethrow() const;

 private:
  struct shared;
  function run_;
  void* context_;
  completion done_;
  std::shared_ptr<shared> shared_;
};

}  // namespace penstock::detail
