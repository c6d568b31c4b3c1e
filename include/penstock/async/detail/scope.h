#pragma once

// The tree of scopes that cancellation, deadlines and task-locals are inherited along. Every task runs in one scope,
// its parent's unless a combinator opened another. Invariants: a scope outlives its child scopes and the
// suspensions in it; a scope below a cancelled one is cancelled too, unless a shield stands between; the effective
// deadline is never later than the parent's.

#include "penstock/async/detail/list.h"
#include "penstock/async/scheduler.h"

#include <string>

namespace penstock {
class suspension;
}

namespace penstock::detail {

struct scope_child_hook : list_hook {};
struct scope_waiter_hook : list_hook {};

// A value bound by a task_local, found by the address of its key.
struct local_binding {
  const void* key;
  const void* value;
  const local_binding* outer;
};

class scope_state : public scope_child_hook {
 public:
  enum class kind { inherit, shield };

  // A scope without a parent: of a task that `run_on` starts.
  explicit scope_state(scheduler& owner) noexcept;
  // A scope below another.
  explicit scope_state(scope_state& parent, kind k = kind::inherit) noexcept;  // NOLINT(google-explicit-constructor)
  // Not yet in the tree; `attach` puts it there.
  scope_state() noexcept;

  void attach(scope_state& parent, kind k = kind::inherit) noexcept;
  void detach() noexcept;
  bool attached() const noexcept { return scheduler_ != nullptr; }

  // Marks this scope and those below as cancelled and wakes what is suspended in them. What came from a scope above
  // ends when this one is detached, this does not.
  void cancel(std::string reason) noexcept;
  bool cancelled() const noexcept { return cancelled_; }
  const std::string& reason() const noexcept { return reason_; }

  // Cancels the scope at `deadline` unless an inherited one comes first.
  void set_deadline(time_point deadline);
  // time_point::max() where there is none.
  time_point deadline() const noexcept { return deadline_; }
  // True when this scope's own deadline cancelled it.
  bool expired() const noexcept { return expired_; }

  void bind(local_binding& binding) noexcept;
  const void* find_local(const void* key) const noexcept;

  scheduler& owner() const noexcept { return *scheduler_; }
  void add_waiter(suspension& s) noexcept;
  // Every suspension in this scope and below, for reports.
  template <class Visit>
  void for_each_waiter(Visit visit) {
    waiters_.for_each(visit);
    children_.for_each([&](scope_state& child) { child.for_each_waiter(visit); });
  }

 private:
  void mark_cancelled(const std::string& reason) noexcept;
  void wake_cancelled() noexcept;

  struct deadline_timer : timer {
    explicit deadline_timer(scope_state& s) noexcept : timer(&fire), scope(s) {}
    static void fire(timer& t) noexcept;
    scope_state& scope;
  };

  scope_state* parent_ = nullptr;
  scheduler* scheduler_ = nullptr;
  const local_binding* locals_ = nullptr;
  time_point deadline_ = time_point::max();
  bool cancelled_ = false;
  bool cancelled_by_itself_ = false;
  bool shielded_ = false;
  bool expired_ = false;
  std::string reason_;
  list<suspension, scope_waiter_hook> waiters_;
  list<scope_state, scope_child_hook> children_;
  deadline_timer timer_{*this};
};

// The scope of the task that runs on this thread now; null outside tasks. Set whenever a task is resumed.
extern constinit thread_local scope_state* current_scope;

// As current_scope, or throws `async_errc::no_scheduler`.
scope_state& require_scope();

}  // namespace penstock::detail
