#pragma once

// A task: an asynchronous operation, written as a coroutine that co_awaits others. It is lazy: nothing runs until it
// is awaited (or handed to `gather`, a `task_group`, `run` …), and it is owned: whoever has it awaits it or destroys
// it.
//
//   task<int> answer() {
//     co_await sleep_for(1s);
//     co_return 42;
//   }
//   int n = co_await answer();

#include "penstock/async/detail/promise.h"

#include <bit>
#include <coroutine>
#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace penstock {

template <class T = void>
class task;

namespace detail {
template <class T>
class promise;
template <class T>
class task_awaiter;
class task_access;
}  // namespace detail

/// An asynchronous operation that gives a T, throws, or is cancelled. Move-only.
///
/// Await it once, as an rvalue: one that has run already, or was moved from, gives `async_errc::task_spent`. The
/// awaiting task is the parent: the child inherits its cancellation, deadline and task-locals, and the parent goes on
/// when the child is done. Awaiting is a direct transfer of control, not a trip through the ready queue. Destroying a
/// task that has started and waits unwinds it without running it on; its destructors run. That takes stack for each
/// task that it awaits in turn: a chain of some 150,000 is too long for a stack of 8 MiB.
template <class T>
class [[nodiscard]] task {
 public:
  using promise_type = detail::promise<T>;
  using value_type = T;

  task() noexcept = default;
  task(task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~task() { reset(); }

  /// False for a default-made or moved-from task.
  explicit operator bool() const noexcept { return handle_ != nullptr; }

 private:
  friend class detail::promise<T>;
  template <class U>
  friend class detail::promise;
  friend class detail::task_access;

  explicit task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  void reset() noexcept {
    if (handle_) std::exchange(handle_, nullptr).destroy();
  }

  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

// What combinators may do with a task that its owner may not.
class task_access {
 public:
  template <class T>
  static promise<T>& promise_of(task<T>& t) noexcept {
    return t.handle_.promise();
  }
  // As above, of a task that is to be run. Throws `async_errc::task_spent`.
  template <class T>
  static promise<T>& promise_to_run(task<T>& t) {
    if (!t.handle_ || t.handle_.done()) [[unlikely]]
      throw_spent(static_cast<bool>(t.handle_));
    return t.handle_.promise();
  }
  template <class T>
  static std::coroutine_handle<promise<T>> release(task<T>& t) noexcept {
    return std::exchange(t.handle_, nullptr);
  }

 private:
  [[noreturn]] static void throw_spent(bool has_run);
};

template <class T>
class task_awaiter {
 public:
  task_awaiter(promise<T>& child, promise_base& parent, scope_state& scope) noexcept : child_(child) {
    child_.parent_ = &parent;
    child_.scope_ = &scope;
  }

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> parent) noexcept {
    child_.continuation_ = parent;
    current_scope = child_.scope_;
    next_in_chain = child_.self_;
  }
  T await_resume() {
    promise_base& parent = *child_.parent_;
    current_scope = parent.scope_;
    if (child_.failure_) [[unlikely]] {
      std::exception_ptr failure = child_.take_failure();
      parent.note_crossing(failure);
      std::rethrow_exception(std::move(failure));
    }
    return child_.take();
  }

 private:
  promise<T>& child_;
};

// A task with the scope it is to run in. Declared after the scope, it is destroyed before it.
template <class T>
struct scoped_task {
  task<T> inner;
  scope_state& scope;
};

template <class T>
class promise_common : public promise_base {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_awaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { fail(); }

  template <class U>
  task_awaiter<U> await_transform(task<U>&& child, std::source_location where = std::source_location::current()) {
    set_site(where);
    return {task_access::promise_to_run(child), *this, scope()};
  }
  template <class U>
  task_awaiter<U> await_transform(task<U>& child,
                                  std::source_location where = std::source_location::current()) = delete;
  template <class U>
  task_awaiter<U> await_transform(scoped_task<U>& child, std::source_location where = std::source_location::current()) {
    set_site(where);
    return {task_access::promise_to_run(child.inner), *this, child.scope};
  }
  template <class Awaitable>
  auto await_transform(Awaitable&& awaitable, std::source_location where = std::source_location::current()) {
    using awaiter = decltype(awaiter_of(std::forward<Awaitable>(awaitable)));
    set_site(where);
    return recording_awaiter<Awaitable, awaiter>(awaiter_of(std::forward<Awaitable>(awaitable)), *this);
  }
};

// What source_location::current() gives. GCC 13 that does not optimise rejects that one where a coroutine calls a
// function that the coroutine does not name: "taking address of an immediate function".
template <class Pointer>
std::source_location location_from(Pointer built_in) noexcept {
  return std::bit_cast<std::source_location>(built_in);
}

template <class T>
class promise final : public promise_common<T> {
 public:
  task<T> get_return_object(std::source_location definition = location_from(__builtin_source_location())) noexcept {
    auto self = std::coroutine_handle<promise>::from_promise(*this);
    this->set_handle(self);
    this->set_definition(definition);
    return task<T>(self);
  }
  template <class U = T>
  requires std::is_convertible_v<U&&, T>
  void return_value(U&& value) { value_.emplace(std::forward<U>(value)); }
  T take() { return std::move(*value_); }

 private:
  std::optional<T> value_;
};

template <class T>
class promise<T&> final : public promise_common<T&> {
 public:
  task<T&> get_return_object(std::source_location definition = location_from(__builtin_source_location())) noexcept {
    auto self = std::coroutine_handle<promise>::from_promise(*this);
    this->set_handle(self);
    this->set_definition(definition);
    return task<T&>(self);
  }
  void return_value(T& value) noexcept { value_ = &value; }
  T& take() const noexcept { return *value_; }

 private:
  T* value_ = nullptr;
};

template <>
class promise<void> final : public promise_common<void> {
 public:
  task<void> get_return_object(std::source_location definition = location_from(__builtin_source_location())) noexcept;
  void return_void() const noexcept {}
  void take() const noexcept {}
};

inline task<void> promise<void>::get_return_object(std::source_location definition) noexcept {
  auto self = std::coroutine_handle<promise>::from_promise(*this);
  set_handle(self);
  set_definition(definition);
  return task<void>(self);
}

}  // namespace detail
}  // namespace penstock
