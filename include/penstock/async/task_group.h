#pragma once

// A scope for tasks that are started one by one: the place for background work, which never runs detached.
//
//   co_await with_task_group([&](task_group& group) -> task<> {
//     group.start(serve(listener));
//     group.start_background(report_metrics());
//     co_return;
//   });                                   // here all of them have ended

#include "penstock/async/detail/join.h"
#include "penstock/async/detail/list.h"
#include "penstock/async/detail/result.h"
#include "penstock/async/detail/scope.h"
#include "penstock/async/suspension.h"
#include "penstock/async/task.h"

#include <cstddef>
#include <exception>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace penstock {

template <class Body>
task<void> with_task_group(Body body);

/// Tasks that end together. When one fails, the others are cancelled; `join` waits for all and throws the first
/// failure with the others attached. Made inside a task, below whose scope its members run; on one thread.
///
/// Call `join` on every path, or use `with_task_group`, which does. A group that is destroyed with members alive
/// destroys their frames where they wait, and hands failures that nobody saw to the unhandled-error handler.
class task_group {
 public:
  task_group();
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;
  ~task_group();

  /// Starts a member from the ready queue. `name` and `where` are for reports. In a cancelled group it ends at its
  /// first wait.
  void start(task<void> member, std::string name = {}, std::source_location where = std::source_location::current());
  /// Starts a member that does not keep the group alive: when only such members are left, `join` cancels them.
  void start_background(task<void> member, std::string name = {},
                        std::source_location where = std::source_location::current());

  /// Waits until every member has ended, those too that are started while it waits, then throws the first failure; of
  /// several tasks that join, one is told of it. When the caller is cancelled, so are the members; a deadline around
  /// the join is one. The group may be used again, unless it was cancelled, which it also is when a member failed or
  /// only background members were left. Awaited by a member it throws `async_errc::deadlock`; not so, and for ever, by
  /// a task that a member waits for in a combinator, such as `gather`.
  task<void> join();
  /// Cancels all members, present and future. Cancellations that follow are no failures; what had failed below one of
  /// them goes to the unhandled-error handler.
  void cancel(std::string reason = {}) noexcept;
  bool cancelled() const noexcept { return scope_.cancelled(); }
  /// How many members have not ended, background ones included.
  std::size_t size() const noexcept { return foreground_ + background_; }

 private:
  template <class Body>
  friend task<void> with_task_group(Body body);
  struct member;
  class join_awaiter;
  struct joiner_hook : detail::list_hook {};
  struct reaper : work_item {
    explicit reaper(task_group& g) noexcept : work_item(&reap), group(g) {}
    static void reap(work_item& item) noexcept;
    task_group& group;
  };

  void launch(task<void> t, std::string name, std::source_location where, bool background);
  bool is_member(const detail::promise_base& running) const noexcept;
  static void on_ended(detail::promise_base& promise, void* context) noexcept;
  void ended(member& m) noexcept;
  void drop_ended() noexcept;

  detail::scope_state scope_;
  detail::list<member> live_;
  detail::list<member> ended_;
  reaper reaper_{*this};
  std::size_t foreground_ = 0;
  std::size_t background_ = 0;
  detail::list<join_awaiter, joiner_hook> joining_;
  std::vector<std::exception_ptr> failures_;
};

/// Runs `body(group)` as the group's first member, then joins the group, whatever happened: when the body throws, the
/// members are cancelled and waited for, and when a member fails or the group is cancelled, so is the body. The
/// callable is kept alive until all have ended.
template <class Body>
task<void> with_task_group(Body body) {
  task_group group;
  std::exception_ptr failure;
  detail::scoped_task<void> running{task<void>(), group.scope_};
  try {
    running.inner = body(group);
    co_await running;
  } catch (...) {
    failure = std::current_exception();
  }
  bool by_group = failure && group.cancelled() && detail::is_cancellation(failure);
  if (failure) group.cancel("the group's body failed");
  task<void> joined = group.join();
  if (!failure || (by_group && !is_cancelled())) {
    if (failure) detail::drop_cancellation(failure, "the body of a task_group");
    co_await std::move(joined);
    co_return;
  }
  try {
    co_await std::move(joined);
  } catch (...) {
    if (by_group && !detail::is_cancellation(std::current_exception())) {
      detail::attach_unless_cancellation(std::current_exception(), failure);
      throw;
    }
    detail::attach_unless_cancellation(failure, std::current_exception());
  }
  std::rethrow_exception(failure);
}

}  // namespace penstock
