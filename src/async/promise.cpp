#include "penstock/async/detail/promise.h"

#include "penstock/async/detail/join.h"
#include "penstock/async/error.h"
#include "penstock/core/traceback.h"

namespace penstock::detail {

void task_access::throw_spent(bool has_run) {
  throw error(async_errc::task_spent, has_run ? "this task has run already: each is awaited once"
                                              : "this task was moved from, or never held anything to run");
}

constinit thread_local std::coroutine_handle<> next_in_chain;

void resume_chain(std::coroutine_handle<> first, scope_state& scope) noexcept {
  current_scope = &scope;
  for (std::coroutine_handle<> next = first; next; next = std::exchange(next_in_chain, nullptr)) next.resume();
  // What the scheduler runs next may be no task, and this scope may be gone by then.
  current_scope = nullptr;
}

void promise_base::run(work_item& item) noexcept {
  auto& self = static_cast<promise_base&>(item);
  resume_chain(self.self_, *self.scope_);
}

void promise_base::note_crossing(const std::exception_ptr& error) {
  crossed_ = true;
  add_task_frame(error, await_site_, "", this);
}

void promise_base::fail() noexcept {
  failure_ = std::current_exception();
  // An exception that came in through an await has a step of this task already. The address alone would not do: that of
  // a task which ended may be ours now.
  if (!crossed_ || newest_frame_task(failure_) != this) add_task_frame(failure_, definition_, thrown_inside, this);
}

void promise_base::tell_ended() noexcept {
  scope_->owner().observer()->task_ended(std::exchange(observed_as_, 0), finished_);
}

void promise_base::report_failure() noexcept {
  std::string where = short_function_name(definition_.function_name());
  std::exception_ptr failure = take_failure();
  if (is_cancellation(failure))
    drop_cancellation(failure, where);
  else
    report_unhandled_error(std::move(failure), where);
}

}  // namespace penstock::detail
