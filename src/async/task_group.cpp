#include "penstock/async/task_group.h"

#include "penstock/async/detail/join.h"
#include "penstock/async/detail/result.h"
#include "penstock/async/error.h"
#include "penstock/core/traceback.h"

// A member is in live_ from start to end, then in ended_ until the reaper destroys its frame: a task can't be
// destroyed by its own last step. A joining task is in joining_ until the members that it waits for have ended: first
// those in the foreground, then the others.

namespace penstock {

struct task_group::member : detail::list_hook {
  member(task_group& g, task<void> t, std::string n, bool b)
      : group(g), work(std::move(t)), name(std::move(n)), background(b) {}
  static void* operator new(std::size_t size) { return detail::allocate_frame(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { detail::free_frame(memory, size); }

  task_group& group;
  task<void> work;
  std::string name;
  bool background;
};

class task_group::join_awaiter : public suspension, public joiner_hook {
 public:
  explicit join_awaiter(task_group& group, bool background) noexcept : group_(group), background_(background) {}
  join_awaiter(const join_awaiter&) = delete;
  join_awaiter& operator=(const join_awaiter&) = delete;

  bool done() const noexcept { return group_.foreground_ == 0 && (!background_ || group_.background_ == 0); }
  bool await_ready() noexcept {
    if (check_cancelled()) group_.cancel(detail::current_scope->reason());
    return group_.size() == 0;
  }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) noexcept {
    by_member_ = group_.is_member(task.promise());
    if (by_member_ || done()) return false;
    group_.joining_.push_back(*this);
    suspend(task.promise());
    return true;
  }
  void await_resume() const {
    if (by_member_)
      throw error(async_errc::deadlock, "a task_group was joined by one of its own members, which waits for itself");
  }
  void member_ended() noexcept {
    if (!done()) return;
    joiner_hook::unlink();
    wake();
  }
  std::string_view waiting_for() const noexcept override { return "the members of a task_group"; }

 private:
  // Leaves only when the members have unwound.
  void cancel() noexcept override { group_.cancel(waiting_task()->scope().reason()); }

  task_group& group_;
  bool background_;
  bool by_member_ = false;
};

task_group::task_group() : scope_(detail::require_scope()) {}

task_group::~task_group() {
  while (!live_.empty()) delete &live_.pop_front();
  drop_ended();
  for (std::exception_ptr& failure : failures_) report_unhandled_error(failure, "a task_group that was not joined");
}

void task_group::start(task<void> t, std::string name, std::source_location where) {
  launch(std::move(t), std::move(name), where, false);
}

void task_group::start_background(task<void> t, std::string name, std::source_location where) {
  launch(std::move(t), std::move(name), where, true);
}

void task_group::launch(task<void> t, std::string name, std::source_location where, bool background) {
  detail::promise_base& promise = detail::task_access::promise_to_run(t);
  auto* m = new member(*this, std::move(t), std::move(name), background);
  live_.push_back(*m);
  ++(background ? background_ : foreground_);
  promise.start_queued(scope_, {.name = m->name, .where = where}, &on_ended, m);
}

bool task_group::is_member(const detail::promise_base& running) const noexcept {
  const detail::promise_base* started = &running;
  while (started->parent() != nullptr) started = started->parent();
  const void* of = started->completes_by(&on_ended);
  return of != nullptr && &static_cast<const member*>(of)->group == this;
}

void task_group::on_ended(detail::promise_base&, void* context) noexcept {
  auto& m = *static_cast<member*>(context);
  m.group.ended(m);
}

void task_group::ended(member& m) noexcept {
  --(m.background ? background_ : foreground_);
  std::exception_ptr failure = detail::task_access::promise_of(m.work).take_failure();
  m.unlink();
  ended_.push_back(m);
  if (!reaper_.linked()) scope_.owner().post(reaper_);
  if (failure && scope_.cancelled() && detail::is_cancellation(failure)) {
    detail::drop_cancellation(failure, m.name.empty() ? std::string_view("a task_group") : std::string_view(m.name));
  } else if (failure) {
    detail::note_next_frame(failure, m.name.empty() ? "task_group" : "task_group, task '" + m.name + "'");
    failures_.push_back(std::move(failure));
    if (!scope_.cancelled())
      scope_.cancel(m.name.empty() ? "a task of the group failed" : "task '" + m.name + "' failed");
  }
  joining_.for_each([](join_awaiter& j) { j.member_ended(); });
}

void task_group::drop_ended() noexcept {
  while (!ended_.empty()) delete &ended_.pop_front();
}

void task_group::reaper::reap(work_item& item) noexcept { static_cast<reaper&>(item).group.drop_ended(); }

task<void> task_group::join() {
  // Others may be started in the turn in which the last one ends, before this task goes on.
  do {
    join_awaiter foreground(*this, false);
    co_await foreground;
    if (foreground_ > 0 || background_ == 0) continue;
    scope_.cancel("the group has nothing else to do");
    join_awaiter all(*this, true);
    co_await all;
  } while (size() > 0);
  drop_ended();
  std::vector<std::exception_ptr> failures = std::exchange(failures_, {});
  if (failures.empty()) {
    detail::throw_if_scope_cancelled();
    co_return;
  }
  for (std::size_t i = 1; i < failures.size(); ++i) {
    if (failures[i] != failures[0]) add_traceback_frame(failures[i], std::source_location::current());
    attach_failure(failures[0], failures[i]);
  }
  std::rethrow_exception(failures[0]);
}

void task_group::cancel(std::string reason) noexcept { scope_.cancel(std::move(reason)); }

}  // namespace penstock
