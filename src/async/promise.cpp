#include "penstock/async/detail/promise.h"

#include "penstock/core/traceback.h"

namespace penstock::detail {

void promise_base::run(work_item& item) noexcept {
  auto& self = static_cast<promise_base&>(item);
  current_scope = self.scope_;
  self.self_.resume();
}

void promise_base::note_crossing(const std::exception_ptr& error) { add_task_frame(error, await_site_, "", this); }

void promise_base::fail() noexcept {
  failure_ = std::current_exception();
  // Only an exception that came in through an await has a step of this task in its traceback.
  if (newest_frame_task(failure_) != this) add_task_frame(failure_, definition_, thrown_inside, this);
}

}  // namespace penstock::detail
