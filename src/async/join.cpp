#include "penstock/async/detail/join.h"

#include "penstock/async/error.h"
#include "penstock/core/traceback.h"

namespace penstock::detail {

join::join(policy p, const char* name) noexcept : scope_(*current_scope), name_(name), policy_(p) {}

void join::start_promise(promise_base& child, promise_base* parent) {
  child.task_index = started_++;
  ++running_;
  child.start_queued(scope_, parent, &on_ended, this);
}

void join::on_ended(promise_base& child, void* context) noexcept { static_cast<join*>(context)->ended(child); }

void join::ended(promise_base& child) noexcept {
  --running_;
  bool failed = child.failure() != nullptr;
  // A sibling that we cancelled ends with our own cancellation: that is no failure of its own.
  bool by_us = failed && scope_.cancelled() && is_cancellation(child.failure());
  if (failed && policy_ == policy::fail_fast && (!by_us || failures_.empty()))
    failures_.push_back({child.task_index, child.failure()});
  if (first_ended_ == nullptr) first_ended_ = &child;
  if (policy_ == policy::first_wins && !scope_.cancelled())
    scope_.cancel(std::string(name_) + ": another task was first");
  if (failed && policy_ == policy::fail_fast && !scope_.cancelled())
    scope_.cancel(std::string(name_) + ": a sibling failed");
  if (running_ == 0 && waiting_) wake();
}

void join::rethrow() {
  if (failures_.empty()) return;
  // A cancellation from outside may have come first; a real failure says more.
  std::size_t first = 0;
  while (first + 1 < failures_.size() && is_cancellation(failures_[first].error)) ++first;
  std::exception_ptr error = failures_[first].error;
  for (std::size_t i = 0; i < failures_.size(); ++i)
    if (i != first && !is_cancellation(failures_[i].error)) attach_failure(error, failures_[i].error);
  std::string note =
      std::string(name_) + ", task " + std::to_string(failures_[first].index + 1) + " of " + std::to_string(started_);
  failures_.clear();
  note_next_frame(error, std::move(note));
  std::rethrow_exception(error);
}

bool is_cancellation(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const operation_cancelled&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace penstock::detail
