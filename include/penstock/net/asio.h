#pragma once

// For users who bring their own Asio objects: awaits any Asio operation from a task. The one public header that
// includes Asio.
//
//   boost::asio::ip::tcp::socket socket(net::io_context_of(net::event_loop::current()));
//   std::size_t n = co_await socket.async_read_some(buffer, net::use_task);

#include "penstock/async/suspension.h"
#include "penstock/net/event_loop.h"

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/context_as.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <boost/system/error_code.hpp>

namespace penstock::net {

struct loop_sockets;

/// Completion token: the operation's result, without its error code; several values come as a tuple. A failure is
/// thrown as `error` with a `net_errc`. Cancelling the task cancels the operation (terminal cancellation) and waits for
/// it; an operation that had completed keeps its result, and one that can't be cancelled is waited for. Destroying the
/// waiting task cancels the operation too. Buffers must outlive the task, and the Asio object must outlive the
/// operation, since a cancellation asks it: close the object, and let the wait end, before you destroy it.
///
/// The task goes on on its loop also when the Asio object belongs to another context, which may outlive the loop; one
/// that runs on other threads must bear that its operations are cancelled from the loop's. An operation of several
/// objects (`async_compose`) must not have one of the loop's as its first and one of other threads behind it.
struct use_task_t {};
inline constexpr use_task_t use_task{};

/// Completion token: all that the operation completes with, as a tuple that begins with the error code. Throws only
/// `operation_cancelled`.
struct use_task_tuple_t {};
inline constexpr use_task_tuple_t use_task_tuple{};

/// The loop's io_context. Don't run or stop it.
boost::asio::io_context& io_context_of(event_loop& loop);

/// Throws what an error code says, when it says anything. `doing` names the operation.
void throw_if_failed(const boost::system::error_code& code, const char* doing);

namespace asio_detail {

// Memory for Asio's operations, recycled as task frames are.
template <class T>
struct recycling_allocator {
  using value_type = T;
  recycling_allocator() = default;
  template <class U>
  recycling_allocator(const recycling_allocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor)
  T* allocate(std::size_t n) { return static_cast<T*>(penstock::detail::allocate_frame(n * sizeof(T))); }
  void deallocate(T* p, std::size_t n) noexcept { penstock::detail::free_frame(p, n * sizeof(T)); }
  template <class U>
  bool operator==(const recycling_allocator<U>&) const noexcept {
    return true;
  }
};

class asio_wait : public suspension {
 protected:
  ~asio_wait() = default;

 public:
  virtual void completed() noexcept = 0;
};

// A loop's executor for the threads of other contexts, which still use it when the loop has run what they posted: it
// keeps the Asio side of the loop. What comes once the loop has ended is dropped.
class loop_executor {
 public:
  explicit loop_executor(event_loop& loop);

  template <class Function>
  void execute(Function&& function) const {
    // The lock is let go of before the function is destroyed, which may be all that the sockets are kept by.
    if (std::unique_lock<std::mutex> entered = enter())
      boost::asio::require(inner_, boost::asio::execution::blocking.never).execute(std::forward<Function>(function));
  }
  boost::asio::io_context& query(boost::asio::execution::context_t) const noexcept { return inner_.context(); }
  loop_executor require(boost::asio::execution::blocking_t::never_t) const noexcept { return *this; }
  friend bool operator==(const loop_executor& a, const loop_executor& b) noexcept { return a.inner_ == b.inner_; }
  friend bool operator!=(const loop_executor& a, const loop_executor& b) noexcept { return a.inner_ != b.inner_; }

 private:
  // Keeps the loop from ending; not locked when it has.
  std::unique_lock<std::mutex> enter() const;

  std::shared_ptr<loop_sockets> sockets_;
  boost::asio::io_context::executor_type inner_;
};

// Whether nothing but the loop's thread carries an operation out. Not known of all: then it is said to be elsewhere.
template <class Initiation>
bool is_of(const Initiation& initiation, boost::asio::io_context& home) noexcept {
  using boost::asio::execution_context;
  constexpr auto context = boost::asio::execution::context_as<execution_context&>;
  if constexpr (requires { boost::asio::query(initiation.get_executor(), context); })
    return &static_cast<execution_context&>(boost::asio::query(initiation.get_executor(), context)) == &home;
  else
    return false;
}

// Shared by the waiting task and Asio's handler: either may go first.
template <class Result>
struct asio_state {
  explicit asio_state(bool of_loop) noexcept : of_the_loop(of_loop) {}
  std::optional<Result> result;
  asio_wait* waiter = nullptr;
  boost::asio::cancellation_signal cancellation;
  const bool of_the_loop;  // or the handler may be dropped on another thread
  std::atomic<int> owners = 1;

  static asio_state* make(bool of_loop) {
    return new (recycling_allocator<asio_state>().allocate(1)) asio_state(of_loop);
  }
  void release() noexcept {
    if (of_the_loop) {
      int left = owners.load(std::memory_order_relaxed) - 1;
      owners.store(left, std::memory_order_relaxed);
      if (left > 0) return;
    } else if (owners.fetch_sub(1, std::memory_order_acq_rel) > 1) {
      return;
    }
    this->~asio_state();
    recycling_allocator<asio_state>().deallocate(this, 1);
  }
};

template <class Result, class Executor>
class asio_handler {
 public:
  using allocator_type = recycling_allocator<void*>;
  using cancellation_slot_type = boost::asio::cancellation_slot;
  using executor_type = Executor;

  asio_handler(asio_state<Result>& state, const executor_type& home) noexcept : state_(&state), home_(home) {
    state.owners.store(2, std::memory_order_relaxed);
  }
  asio_handler(asio_handler&& other) noexcept
      : state_(std::exchange(other.state_, nullptr)), home_(std::move(other.home_)) {}
  asio_handler& operator=(asio_handler&&) = delete;
  ~asio_handler() {
    if (state_ != nullptr) state_->release();
  }

  allocator_type get_allocator() const noexcept { return {}; }
  cancellation_slot_type get_cancellation_slot() const noexcept { return state_->cancellation.slot(); }
  executor_type get_executor() const noexcept { return home_; }

  template <class... Args>
  void operator()(Args&&... args) {
    state_->result.emplace(std::forward<Args>(args)...);
    if (state_->waiter != nullptr) std::exchange(state_->waiter, nullptr)->completed();
  }

 private:
  asio_state<Result>* state_;
  executor_type home_;
};

inline void throw_if_failed(const boost::system::error_code& code) { net::throw_if_failed(code, "operation"); }
inline void throw_if_failed(const std::exception_ptr& failure) {
  if (failure) std::rethrow_exception(failure);
}

template <class T>
concept failure_argument = std::is_same_v<T, boost::system::error_code> || std::is_same_v<T, std::exception_ptr>;

// What an operation's completion arguments become: all of them in a tuple,
template <bool Tuple, class... Args>
struct asio_result {
  using type = std::tuple<Args...>;
  static type take(type&& all) { return std::move(all); }
};
// or what follows the failure: nothing, a value, or a tuple.
template <failure_argument Failure>
struct asio_result<false, Failure> {
  using type = void;
  static void take(std::tuple<Failure>&& all) { throw_if_failed(std::get<0>(all)); }
};
template <failure_argument Failure, class T>
struct asio_result<false, Failure, T> {
  using type = T;
  static T take(std::tuple<Failure, T>&& all) {
    throw_if_failed(std::get<0>(all));
    return std::get<1>(std::move(all));
  }
};
template <failure_argument Failure, class T, class U, class... More>
struct asio_result<false, Failure, T, U, More...> {
  using type = std::tuple<T, U, More...>;
  static type take(std::tuple<Failure, T, U, More...>&& all) {
    throw_if_failed(std::get<0>(all));
    return std::apply([](Failure&, auto&... values) { return type(std::move(values)...); }, all);
  }
};
template <>
struct asio_result<false> {
  using type = void;
  static void take(std::tuple<>&&) {}
};

// True when Asio says that the operation was cancelled.
template <class... Args>
bool was_aborted(const std::tuple<Args...>& all) {
  if constexpr (sizeof...(Args) > 0)
    if constexpr (std::is_same_v<std::decay_t<decltype(std::get<0>(all))>, boost::system::error_code>)
      return std::get<0>(all) == boost::asio::error::operation_aborted;
  return false;
}

template <bool Tuple, class Initiation, class Bound, class... Args>
class [[nodiscard]] asio_operation final : public asio_wait {
 public:
  using raw = std::tuple<Args...>;
  using result = asio_result<Tuple, Args...>;

  asio_operation(Initiation&& initiation, Bound&& bound)
      : initiation_(std::move(initiation)), bound_(std::move(bound)) {}
  ~asio_operation() {
    if (state_ == nullptr) return;
    if (std::exchange(state_->waiter, nullptr) != nullptr)
      state_->cancellation.emit(boost::asio::cancellation_type::terminal);
    state_->release();
  }

  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    event_loop& loop = event_loop::current();
    boost::asio::io_context& home = io_context_of(loop);
    bool of_the_loop = is_of(initiation_, home);
    state_ = asio_state<raw>::make(of_the_loop);
    state_->waiter = this;
    suspend(task.promise());
    if (of_the_loop)
      start(home.get_executor());
    else
      start(loop_executor(loop));
  }
  typename result::type await_resume() {
    throw_if_cancelled();
    return result::take(std::move(*state_->result));
  }
  std::string_view waiting_for() const noexcept override { return "an I/O operation"; }

 private:
  template <class Executor>
  void start(const Executor& home) {
    std::apply(
        [&](auto&&... args) {
          std::move(initiation_)(asio_handler<raw, Executor>(*state_, home), std::forward<decltype(args)>(args)...);
        },
        std::move(bound_));
  }
  void completed() noexcept override {
    // A result that came in time is kept though the task was cancelled since.
    if (cancelling_ && was_aborted(*state_->result))
      wake_cancelled();
    else
      wake();
  }
  void cancel() noexcept override {
    cancelling_ = true;
    state_->cancellation.emit(boost::asio::cancellation_type::terminal);
  }

  Initiation initiation_;
  Bound bound_;
  asio_state<raw>* state_ = nullptr;
  bool cancelling_ = false;
};

template <bool Tuple, class... Args>
struct asio_async_result {
  template <class Initiation, class... Bound>
  static auto initiate(Initiation&& initiation, auto, Bound&&... bound) {
    using bound_tuple = std::tuple<std::decay_t<Bound>...>;
    return asio_operation<Tuple, std::decay_t<Initiation>, bound_tuple, Args...>(
        std::decay_t<Initiation>(std::forward<Initiation>(initiation)), bound_tuple(std::forward<Bound>(bound)...));
  }
};

}  // namespace asio_detail
}  // namespace penstock::net

template <class... Args>
class boost::asio::async_result<penstock::net::use_task_t, void(Args...)>
    : public penstock::net::asio_detail::asio_async_result<false, std::decay_t<Args>...> {};

template <class... Args>
class boost::asio::async_result<penstock::net::use_task_tuple_t, void(Args...)>
    : public penstock::net::asio_detail::asio_async_result<true, std::decay_t<Args>...> {};
