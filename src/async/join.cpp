#include "penstock/async/detail/join.h"

#include "penstock/async/detail/result.h"
#include "penstock/async/error.h"
#include "penstock/core/traceback.h"

#include <algorithm>
#include <utility>

namespace penstock::detail {

join::join(policy p, const char* name) noexcept : scope_(*current_scope), name_(name), policy_(p) {}

void join::start_promise(promise_base& child) {
  child.task_index = started_++;
  ++running_;
  child.start_queued(scope_, {.name = {}, .where = {}, .combinator = this}, &on_ended, this);
}

void join::on_ended(promise_base& child, void* context) noexcept { static_cast<join*>(context)->ended(child); }

void join::ended(promise_base& child) noexcept {
  --running_;
  bool failed = child.failure() != nullptr;
  // A sibling that we cancelled ends with our own cancellation: that is no failure of its own, but may bring some
  // along.
  bool by_us =
      failed && scope_.cancelled() && is_cancellation(child.failure()) && attached_failures(child.failure()).empty();
  if (failed && policy_ == policy::fail_fast && (!by_us || failed_.empty())) failed_.push_back(&child);
  if (first_ended_ == nullptr) first_ended_ = &child;
  if (policy_ == policy::first_wins && !scope_.cancelled())
    scope_.cancel(std::string(name_) + ": another task was first");
  if (failed && policy_ == policy::fail_fast && !scope_.cancelled())
    scope_.cancel(std::string(name_) + ": a sibling failed");
  if (running_ == 0 && parent_ != nullptr) wake();
}

void join::rethrow() {
  if (policy_ == policy::first_wins && first_ended_ != nullptr) rethrow_failure_of(*first_ended_);
  if (failed_.empty()) return;
  // A cancellation from outside may have come first; a real failure says more.
  auto first = std::find_if_not(failed_.begin(), failed_.end(),
                                [](promise_base* child) { return is_cancellation(child->failure()); });
  if (first == failed_.end()) first = failed_.begin();
  for (promise_base* child : failed_) {
    if (child == *first) continue;
    std::exception_ptr beside = child->take_failure();
    if (beside != (*first)->failure()) add_traceback_frame(beside, parent_->await_site(), note_on(*child));
    attach_unless_cancellation((*first)->failure(), beside);
  }
  rethrow_failure_of(**first);
}

void join::rethrow_failure_of(promise_base& child) {
  std::exception_ptr error = child.take_failure();
  if (!error) return;
  note_next_frame(error, note_on(child));
  std::rethrow_exception(std::move(error));
}

std::string join::note_on(const promise_base& child) const {
  return std::string(name_) + ", task " + std::to_string(child.task_index + 1) + " of " + std::to_string(started_);
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

void drop_cancellation(const std::exception_ptr& error, std::string_view where) noexcept {
  for (std::exception_ptr& one : attached_failures(error)) {
    if (is_cancellation(one))
      drop_cancellation(one, where);
    else
      report_unhandled_error(std::move(one), where);
  }
}

void attach_unless_cancellation(const std::exception_ptr& error, const std::exception_ptr& beside) {
  if (!beside) return;
  if (!is_cancellation(beside)) return attach_failure(error, beside);
  for (const std::exception_ptr& one : attached_failures(beside)) attach_unless_cancellation(error, one);
}

void throw_cancelled(const std::vector<std::exception_ptr>& failures) {
  auto error = std::make_exception_ptr(operation_cancelled(current_scope->reason(), std::source_location()));
  for (const std::exception_ptr& failure : failures) attach_unless_cancellation(error, failure);
  std::rethrow_exception(std::move(error));
}

}  // namespace penstock::detail
