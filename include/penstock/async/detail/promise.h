#pragma once

// What every task's frame begins with, whatever it returns. Invariants: a task is started once; it is completed by
// its continuation (an awaiting task) or by its completion function (a combinator), never both; `scope_` is set
// before it starts.

#include "penstock/async/detail/scope.h"
#include "penstock/async/scheduler.h"
#include "penstock/async/scheduler_observer.h"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <source_location>
#include <type_traits>
#include <utility>

namespace penstock::detail {

void* allocate_frame(std::size_t size);
void free_frame(void* frame, std::size_t size) noexcept;

// Which coroutine goes on when the running one has suspended: control passes from task to task by setting this, and
// whoever resumed the first of a chain resumes the next, so that none uses up the stack by running, however deep.
// Returning a handle from await_suspend would do the same, but GCC makes a tail call of that only when it optimises
// and no sanitizer is on, and the same templates are compiled into the library and into the user's program.
extern constinit thread_local std::coroutine_handle<> next_in_chain;

// Resumes a task and those that control passes to, until one waits for something else.
void resume_chain(std::coroutine_handle<> first, scope_state& scope) noexcept;

class promise_base : private work_item {
 public:
  // The task that an item starts; null for an item of another kind.
  static const promise_base* of(const work_item& item) noexcept {
    return item.runs(&run) ? static_cast<const promise_base*>(&item) : nullptr;
  }

  // Called in the task's last step, when result or failure are in place. Must not destroy the task.
  using completion = void (*)(promise_base&, void* context) noexcept;

  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }

  // Starts the task from the ready queue.
  void start_queued(scope_state& scope, const task_origin& origin, completion done, void* context) noexcept {
    scope_ = &scope;
    completion_ = done;
    context_ = context;
    if (scheduler_observer* o = scope.owner().observer()) [[unlikely]]
      observed_as_ = o->task_started(*this, origin);
    scope.owner().post(*this);
  }

  scope_state& scope() const noexcept { return *scope_; }
  const promise_base* parent() const noexcept { return parent_; }
  std::coroutine_handle<> handle() const noexcept { return self_; }
  const std::exception_ptr& failure() const noexcept { return failure_; }
  // The failure, for whoever passes it on. One that nobody takes goes to the unhandled-error handler.
  std::exception_ptr take_failure() noexcept { return std::exchange(failure_, nullptr); }
  bool finished() const noexcept { return finished_; }
  // What `done` will be called with; null when that is not how it is completed.
  void* completes_by(completion done) const noexcept { return completion_ == done ? context_ : nullptr; }
  // Where the task awaits now, or last awaited.
  const std::source_location& await_site() const noexcept { return await_site_; }
  const std::source_location& definition() const noexcept { return definition_; }
  // The number that the scheduler's observer gave it; 0 for none.
  std::uint32_t observed_as() const noexcept { return observed_as_; }

  // The task's place in the combinator that started it.
  std::size_t task_index = 0;

  // An exception enters the task at its current await site: notes the step.
  void note_crossing(const std::exception_ptr& error);

 protected:
  promise_base() noexcept : work_item(&run) {}
  promise_base(const promise_base&) = delete;
  promise_base& operator=(const promise_base&) = delete;
  ~promise_base() {
    if (observed_as_ != 0) [[unlikely]]
      tell_ended();
    if (failure_) [[unlikely]]
      report_failure();
  }

  void set_handle(std::coroutine_handle<> self) noexcept { self_ = self; }
  // GCC reports the line where the function ends, clang the one where it begins.
  void set_definition(std::source_location definition) noexcept { definition_ = definition; }
  void set_site(std::source_location site) noexcept { await_site_ = site; }
  void fail() noexcept;

  struct final_awaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      self.promise().complete();
    }
    void await_resume() const noexcept {}
  };

 private:
  template <class T>
  friend class task_awaiter;

  static void run(work_item& item) noexcept;
  void report_failure() noexcept;
  void tell_ended() noexcept;

  void complete() noexcept {
    finished_ = true;
    if (observed_as_ != 0) [[unlikely]]
      tell_ended();
    if (completion_ != nullptr)
      completion_(*this, context_);
    else
      next_in_chain = continuation_;
  }

  std::coroutine_handle<> self_;
  std::coroutine_handle<> continuation_;
  completion completion_ = nullptr;
  void* context_ = nullptr;
  promise_base* parent_ = nullptr;
  scope_state* scope_ = nullptr;
  std::source_location await_site_;
  std::source_location definition_;
  std::exception_ptr failure_;
  bool finished_ = false;
  bool crossed_ = false;  // an exception came in through an await
  std::uint32_t observed_as_ = 0;
};

// Awaits what is not a task: passes everything on to the awaiter and notes the step when it throws.
template <class Awaitable, class Awaiter>
class recording_awaiter {
 public:
  recording_awaiter(Awaiter&& awaiter, promise_base& task) : awaiter_(std::forward<Awaiter>(awaiter)), task_(task) {}

  bool await_ready() { return awaiter_.await_ready(); }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> self) {
    return awaiter_.await_suspend(self);
  }
  decltype(auto) await_resume() {
    try {
      return awaiter_.await_resume();
    } catch (...) {
      task_.note_crossing(std::current_exception());
      throw;
    }
  }

 private:
  Awaiter awaiter_;
  promise_base& task_;
};

template <class A>
concept has_member_co_await = requires(A&& a) {
  std::forward<A>(a).operator co_await();
};
template <class A>
concept has_free_co_await = requires(A&& a) {
  operator co_await(std::forward<A>(a));
};

template <class A>
decltype(auto) awaiter_of(A&& awaitable) {
  if constexpr (has_member_co_await<A>)
    return std::forward<A>(awaitable).operator co_await();
  else if constexpr (has_free_co_await<A>)
    return operator co_await(std::forward<A>(awaitable));
  else
    return static_cast<A&&>(awaitable);
}

}  // namespace penstock::detail
