#pragma once

// How the actions of testing/mock.h are made: an action is a behaviour, which makes the task of one call once the
// call's arguments are in a frame.
//
// Invariants: a behaviour and its arguments live in the frame of `run_mocked_call`, which the tasks that they make do
// not outlive; all that goes into that frame are classes with constructors, since GCC 12 miscompiles aggregates as
// parameters of coroutines.

#include "penstock/async/suspension.h"
#include "penstock/async/task.h"
#include "penstock/async/timeout.h"

#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <ostream>
#include <source_location>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace penstock::testing::mock_detail {

// Fails the running test when it is destroyed before the call's task has begun.
class await_check {
 public:
  await_check(std::string_view action, std::string arguments, std::source_location where);
  await_check(await_check&& other) noexcept;
  await_check& operator=(await_check&&) = delete;
  ~await_check();
  void begun() noexcept { armed_ = false; }

 private:
  std::string_view action_;
  std::string arguments_;
  std::source_location where_;
  int exceptions_;
  bool armed_ = true;
};

[[noreturn]] void throw_value_was_given();
std::exception_ptr unprovided_call_error();

// Arguments for a report: what can be printed, and an ellipsis for the rest.
inline void print_argument(std::ostream& out, std::string_view text) { out << '"' << text << '"'; }
template <class T>
void print_argument(std::ostream& out, const T& value) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>)
    print_argument(out, std::string_view(value));
  else if constexpr (requires { out << value; })
    out << value;
  else
    out << "…";
}
template <class... A>
std::string print_arguments(const A&... arguments) {
  std::ostringstream out;
  [[maybe_unused]] const char* separator = "";
  ((out << std::exchange(separator, ", "), print_argument(out, arguments)), ...);
  return out.str();
}

// How an argument of type A is kept: by value, or by reference when it can't be copied or moved.
template <class A>
using kept = std::conditional_t<std::is_same_v<std::decay_t<A>, std::string_view>, std::string,
                                std::conditional_t<std::is_constructible_v<std::decay_t<A>, A>, std::decay_t<A>,
                                                   std::reference_wrapper<std::remove_reference_t<A>>>>;

template <class T>
T& plain(T& value) noexcept {
  return value;
}
template <class T>
T& plain(std::reference_wrapper<T>& value) noexcept {
  return value.get();
}

template <class T, class Behaviour, class... Kept>
task<T> run_mocked_call(await_check check, Behaviour behaviour, std::tuple<Kept...> arguments) {
  check.begun();
  auto call = [&](Kept&... a) { return behaviour.template call<T>(plain(a)...); };
  task<T> called = std::apply(call, arguments);
  co_return co_await std::move(called);
}

// What an action's call operator gives: it becomes a task of whatever type the mocked method has.
template <class Behaviour, class... Kept>
class pending_call {
 public:
  pending_call(await_check check, Behaviour behaviour, std::tuple<Kept...> arguments)
      : check_(std::move(check)), behaviour_(std::move(behaviour)), arguments_(std::move(arguments)) {}

  template <class T>
  operator task<T>() && {  // NOLINT(google-explicit-constructor)
    return run_mocked_call<T, Behaviour, Kept...>(std::move(check_), std::move(behaviour_), std::move(arguments_));
  }

 private:
  await_check check_;
  Behaviour behaviour_;
  std::tuple<Kept...> arguments_;
};

template <class Behaviour>
class coroutine_action {
 public:
  coroutine_action(Behaviour b, std::string_view name, std::source_location where)
      : behaviour_(std::move(b)), name_(name), where_(where) {}

  template <class... A>
  pending_call<Behaviour, kept<A>...> operator()(A&&... arguments) const {
    await_check check(name_, print_arguments(arguments...), where_);
    return {std::move(check), behaviour_, std::tuple<kept<A>...>(std::forward<A>(arguments)...)};
  }
  const Behaviour& behaviour() const noexcept { return behaviour_; }

 private:
  Behaviour behaviour_;
  std::string_view name_;
  std::source_location where_;
};

template <class T>
inline constexpr bool is_coroutine_action = false;
template <class Behaviour>
inline constexpr bool is_coroutine_action<coroutine_action<Behaviour>> = true;

template <class T>
class giving_behaviour {
 public:
  explicit giving_behaviour(T value) : value_(std::make_shared<place>(std::move(value))) {}

  template <class Result, class... A>
  task<Result> call(A&...) {
    static_assert(std::is_constructible_v<Result, T>, "the value is none of what the mocked method's task gives");
    if constexpr (std::is_copy_constructible_v<T>) {
      const T& value = value_->value;
      co_return Result(value);
    } else {
      if (std::exchange(value_->given, true)) throw_value_was_given();
      co_return Result(std::move(value_->value));
    }
  }

 private:
  // Shared by the calls, since gmock copies actions.
  struct place {
    explicit place(T v) : value(std::move(v)) {}
    T value;
    bool given = false;
  };
  std::shared_ptr<place> value_;
};

class ending_behaviour {
 public:
  ending_behaviour() noexcept = default;
  template <class Result, class... A>
  task<Result> call(A&...) {
    static_assert(std::is_void_v<Result>, "the mocked method's task gives a value: say which");
    co_return;
  }
};

// Awaiting it throws; it never gives the T that a coroutine of that type has to return.
template <class T>
class throwing_awaiter {
 public:
  explicit throwing_awaiter(std::exception_ptr e) noexcept : exception_(std::move(e)) {}
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  [[noreturn]] T await_resume() const { std::rethrow_exception(exception_); }

 private:
  std::exception_ptr exception_;
};

template <class T>
task<T> unprovided_call() {
  throwing_awaiter<T> thrown(unprovided_call_error());
  co_return co_await thrown;
}

class throwing_behaviour {
 public:
  explicit throwing_behaviour(std::exception_ptr e) noexcept : exception_(std::move(e)) {}
  template <class Result, class... A>
  task<Result> call(A&...) {
    throwing_awaiter<Result> thrown(exception_);
    co_return co_await thrown;
  }

 private:
  std::exception_ptr exception_;
};

template <class T>
class never_wait : public suspension {
 public:
  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    suspend(task.promise());
  }
  [[noreturn]] T await_resume() const {
    throw_if_cancelled();
    std::terminate();
  }
  std::string_view waiting_for() const noexcept override { return "nothing that ever comes (co_never)"; }

 private:
  void cancel() noexcept override { wake_cancelled(); }
};

class waiting_behaviour {
 public:
  waiting_behaviour() noexcept = default;
  template <class Result, class... A>
  task<Result> call(A&...) {
    never_wait<Result> wait;
    co_return co_await wait;
  }
};

template <class Behaviour>
class delaying_behaviour {
 public:
  delaying_behaviour(duration d, Behaviour then) : delay_(d), then_(std::move(then)) {}
  template <class Result, class... A>
  task<Result> call(A&... arguments) {
    co_await sleep_for(delay_);
    task<Result> called = then_.template call<Result>(arguments...);
    co_return co_await std::move(called);
  }

 private:
  duration delay_;
  Behaviour then_;
};

template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

template <class F>
class invoking_behaviour {
 public:
  explicit invoking_behaviour(F function) : function_(std::move(function)) {}
  template <class Result, class... A>
  task<Result> call(A&... arguments) {
    if constexpr (std::is_invocable_v<F&, A&...>) {
      return finish<Result>([this, &arguments...]() -> decltype(auto) { return function_(arguments...); });
    } else if constexpr (std::is_invocable_v<F&, A&&...>) {
      return finish<Result>([this, &arguments...]() -> decltype(auto) { return function_(std::move(arguments)...); });
    } else {
      static_assert(std::is_invocable_v<F&>, "the function takes neither the mocked method's arguments nor none");
      return finish<Result>([this]() -> decltype(auto) { return function_(); });
    }
  }

 private:
  template <class Result, class Call>
  static task<Result> finish(Call function) {
    using given = std::invoke_result_t<Call&>;
    if constexpr (is_task<given>) {
      given called = function();
      co_return co_await std::move(called);
    } else {
      co_return function();
    }
  }

  F function_;
};

}  // namespace penstock::testing::mock_detail
