#include "penstock/async/detail/scope.h"

#include "penstock/async/detail/promise.h"
#include "penstock/async/error.h"
#include "penstock/async/scheduler_observer.h"
#include "penstock/async/suspension.h"

#include <algorithm>
#include <utility>

namespace penstock::detail {

constinit thread_local scope_state* current_scope = nullptr;

scope_state& require_scope() {
  if (current_scope == nullptr)
    throw error(async_errc::no_scheduler, "no task runs on this thread: call this from a task started by run()");
  return *current_scope;
}

scope_state::scope_state() noexcept = default;
scope_state::scope_state(scheduler& owner) noexcept : scheduler_(&owner) {}
scope_state::scope_state(scope_state& parent, kind k) noexcept { attach(parent, k); }

void scope_state::attach(scope_state& parent, kind k) noexcept {
  parent_ = &parent;
  scheduler_ = parent.scheduler_;
  locals_ = parent.locals_;
  shielded_ = k == kind::shield;
  if (!shielded_) {
    deadline_ = parent.deadline_;
    if (parent.cancelled_ && !cancelled_) mark_cancelled(parent.reason_);
  }
  parent.children_.push_back(*this);
}

void scope_state::detach() noexcept {
  scope_child_hook::unlink();
  parent_ = nullptr;
  scheduler_ = nullptr;
  locals_ = nullptr;
  deadline_ = time_point::max();
  timer_.cancel();
  if (!cancelled_by_itself_) {
    cancelled_ = false;
    reason_.clear();
  }
}

// Waking only queues tasks, so no scope leaves the tree while it is walked; but cancelling one wait may wake others.
void scope_state::cancel(std::string reason) noexcept {
  if (cancelled_by_itself_) return;
  cancelled_by_itself_ = true;
  if (cancelled_) {
    reason_ = std::move(reason);
    return;
  }
  mark_cancelled(reason);
  wake_cancelled();
}

void scope_state::mark_cancelled(const std::string& reason) noexcept {
  cancelled_ = true;
  reason_ = reason;
  timer_.cancel();
  children_.for_each([&](scope_state& child) {
    if (!child.shielded_ && !child.cancelled_) child.mark_cancelled(reason);
  });
}

void scope_state::wake_cancelled() noexcept {
  list<suspension, scope_waiter_hook> due;
  due.splice_back(waiters_);
  while (!due.empty()) due.pop_front().cancel();
  children_.for_each([](scope_state& child) {
    if (!child.shielded_) child.wake_cancelled();
  });
}

void scope_state::set_deadline(time_point deadline) {
  if (deadline >= deadline_) return;
  deadline_ = deadline;
  if (!cancelled_) scheduler_->add_timer(timer_, deadline);
}

void scope_state::deadline_timer::fire(timer& t) noexcept {
  scope_state& scope = static_cast<deadline_timer&>(t).scope;
  scope.expired_ = true;
  scope.cancel("deadline passed");
}

void scope_state::bind(local_binding& binding) noexcept {
  binding.outer = locals_;
  locals_ = &binding;
}

const void* scope_state::find_local(const void* key) const noexcept {
  for (const local_binding* b = locals_; b != nullptr; b = b->outer)
    if (b->key == key) return b->value;
  return nullptr;
}

void scope_state::add_waiter(suspension& s) noexcept { waiters_.push_back(s); }

}  // namespace penstock::detail

namespace penstock {

suspension::suspension() noexcept : work_item(&resume) {}

bool suspension::check_cancelled() noexcept {
  detail::scope_state* scope = detail::current_scope;
  if (scope == nullptr || !scope->cancelled()) return false;
  cancelled_ = true;
  return true;
}

void suspension::suspend(detail::promise_base& task) noexcept {
  suspend_uncancellable(task);
  task.scope().add_waiter(*this);
}

void suspension::suspend_uncancellable(detail::promise_base& task) noexcept {
  task_ = &task;
  if (scheduler_observer* o = waiting_scheduler().observer()) [[unlikely]]
    o->suspended(*this);
}

void suspension::wake() noexcept {
  detail::scope_waiter_hook::unlink();
  waiting_scheduler().post(*this);
}

void suspension::wake_cancelled() noexcept {
  cancelled_ = true;
  wake();
}

void suspension::throw_if_cancelled() const {
  if (!cancelled_) return;
  detail::scope_state* scope = detail::current_scope;
  // The await that throws this is in the traceback by itself; this line would say nothing.
  throw operation_cancelled(scope == nullptr ? std::string() : scope->reason(), std::source_location());
}

scheduler& suspension::waiting_scheduler() const noexcept { return task_->scope().owner(); }

void suspension::resume(work_item& item) noexcept {
  auto& self = static_cast<suspension&>(item);
  detail::promise_base& task = *std::exchange(self.task_, nullptr);
  detail::resume_chain(task.handle(), task.scope());
}

}  // namespace penstock
