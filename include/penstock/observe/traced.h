#pragma once

// Logging, timing and counting around any asynchronous function, without touching it.
//
//   task<receipt> store(order o);
//   receipt r = co_await traced("store", store, std::move(o));
//
// Not for what runs a million times a second: a call costs some hundred nanoseconds more.

#include "penstock/async/scheduler.h"
#include "penstock/async/task.h"
#include "penstock/observe/log_value.h"

#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace penstock {

namespace detail {

struct traced_metrics;

// One call, from its first step to its end, however it ends.
class traced_run {
 public:
  traced_run(const traced_metrics& metrics, std::string_view name);
  traced_run(const traced_run&) = delete;
  traced_run& operator=(const traced_run&) = delete;
  // Without `succeeded` or `failed` before: the task was destroyed where it waited, which counts as cancelled.
  ~traced_run();

  std::string& arguments() noexcept { return arguments_; }
  void succeeded() noexcept;
  void failed(const std::exception_ptr& error) noexcept;

 private:
  void cancelled() noexcept;
  duration end() noexcept;

  const traced_metrics& metrics_;
  std::string_view name_;
  const scheduler& clock_;
  time_point start_;
  std::string arguments_;
  bool ended_ = false;
};

// The metrics of that name. Never freed.
const traced_metrics& traced_metrics_of(std::string_view name);

template <class T>
decltype(auto) pass_argument(T& argument) noexcept {
  if constexpr (log::detail::is_secret<T>)
    return std::move(argument).reveal();
  else
    return std::move(argument);
}

// The function and its arguments, kept in the frame until the call has ended. A class with a constructor, for GCC 12
// mishandles aggregates as coroutine parameters.
template <class Fn, class... Args>
class traced_function {
 public:
  template <class F, class... A>
  explicit traced_function(std::string_view name, F&& fn, A&&... args)
      : metrics_(traced_metrics_of(name)),
        name_(name),
        fn_(std::forward<F>(fn)),
        arguments_(std::forward<A>(args)...) {}

  using result = decltype(std::invoke(std::declval<Fn&>(), pass_argument(std::declval<Args&>())...));

  const traced_metrics& metrics() const noexcept { return metrics_; }
  std::string_view name() const noexcept { return name_; }
  result start() {
    return std::apply([this](Args&... args) -> result { return std::invoke(fn_, pass_argument(args)...); }, arguments_);
  }
  void describe(std::string& out) const {
    std::apply(
        [&](const Args&... args) {
          std::string_view separator;
          ((out += separator, separator = ", ", log::detail::append_value(out, args)), ...);
        },
        arguments_);
  }

 private:
  const traced_metrics& metrics_;
  std::string name_;
  Fn fn_;
  std::tuple<Args...> arguments_;
};

template <class R, class Call>
task<R> run_traced(Call call) {
  traced_run run(call.metrics(), call.name());
  try {
    call.describe(run.arguments());
  } catch (...) {  // what can't be shown runs all the same
    run.arguments() += "…";
  }
  try {
    task<R> running = call.start();
    if constexpr (std::is_void_v<R>) {
      co_await std::move(running);
      run.succeeded();
    } else {
      R result = co_await std::move(running);
      run.succeeded();
      co_return static_cast<R&&>(result);
    }
  } catch (...) {
    run.failed(std::current_exception());
    throw;
  }
}

}  // namespace detail

/// Calls `fn(args…)`, which gives a task, awaits it and gives its result, and observes it under `name`, which should be
/// a literal: metrics have it as a label.
///
/// Logs the end of each call with name, arguments, elapsed time on the scheduler's clock and outcome: success and
/// cancellation at level debug, failure at level error with its traceback; the exception is rethrown unchanged.
/// Counts `penstock_task_calls_total`, `penstock_task_failures_total`, `penstock_task_cancellations_total`,
/// `penstock_task_duration_seconds` and `penstock_tasks_in_flight`, by `task`.
///
/// `fn` (a function, a lambda, a pointer to a member function, followed by the object or a pointer to it) and the
/// arguments are copied or moved into the task and live as long as the call; pass `std::ref` for a reference. The
/// function gets them as rvalues. With GCC 12, name the call before awaiting it (`auto call = traced(…); co_await
/// std::move(call);`) when `fn` is a lambda with captures or an argument is an aggregate that is made there: it
/// destroys such temporaries twice otherwise (README, "With GCC 12"). How arguments are shown: `log_value.h`; wrap
/// secrets in `log::secret`.
template <class Fn, class... Args>
auto traced(std::string_view name, Fn&& fn, Args&&... args) ->
    typename detail::traced_function<std::decay_t<Fn>, std::decay_t<Args>...>::result {
  using call = detail::traced_function<std::decay_t<Fn>, std::decay_t<Args>...>;
  using result = typename call::result::value_type;
  return detail::run_traced<result>(call(name, std::forward<Fn>(fn), std::forward<Args>(args)...));
}

}  // namespace penstock
