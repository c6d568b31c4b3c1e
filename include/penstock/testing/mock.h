#pragma once

// Actions for mocked methods that return tasks, for gmock's WillOnce, WillRepeatedly and WillByDefault, and for
// whatever else takes a callable. Each makes a coroutine that keeps its arguments, and itself, in its frame.
//
//   MOCK_METHOD(task<user>, load, (int id), (override));
//
//   EXPECT_CALL(repository, load(7)).WillOnce(co_return_value(ann))
//                                   .WillOnce(co_throw(timed_out("too slow")))
//                                   .WillOnce(co_delay(3s, ann))
//                                   .WillOnce(co_invoke([&](int id) -> task<user> { co_return co_await other(id); }))
//                                   .WillRepeatedly(co_never());
//
// A task that such an action gave and that is destroyed before anybody awaited it fails the running test: a mocked call
// counts when it was awaited, not when it was made. The failure stands at the line of the action, and shows the call's
// arguments. The one exception are tasks that an exception, such as a cancellation, carried away before they could be
// awaited.
//
// A call that no expectation and no ON_CALL provides for gives a task that throws `testing_errc::unprovided_call` when
// it is awaited, also one that a NiceMock passes over: for those say ON_CALL(…).WillByDefault(co_return_value()).

#include "penstock/async/scheduler.h"
#include "penstock/testing/detail/mocked_call.h"

#include <concepts>
#include <exception>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

namespace penstock::testing {

/// Gives a value, copied for each call. One that can only be moved is given once; a second call throws
/// `testing_errc::value_was_given`.
template <class T>
auto co_return_value(T value, std::source_location where = std::source_location::current()) {
  return mock_detail::coroutine_action(mock_detail::giving_behaviour<T>(std::move(value)), "co_return_value", where);
}
/// Ends without a value.
inline auto co_return_value(std::source_location where = std::source_location::current()) {
  return mock_detail::coroutine_action(mock_detail::ending_behaviour(), "co_return_value", where);
}

/// Throws a copy of an exception.
template <class E>
auto co_throw(E exception, std::source_location where = std::source_location::current()) {
  return mock_detail::coroutine_action(mock_detail::throwing_behaviour(std::make_exception_ptr(std::move(exception))),
                                       "co_throw", where);
}

/// Calls a function, or a lambda with captures, when the task is awaited, with the call's arguments or without any; it
/// may be a coroutine. The function and the arguments are copied into the frame, and the function sees the copies: a
/// reference argument is safe however late it is read, and changing it changes the copy. A std::string_view is kept as
/// a string; what pointers and spans refer to is not copied, nor are arguments of types that can't be.
template <class F>
auto co_invoke(F function, std::source_location where = std::source_location::current()) {
  return mock_detail::coroutine_action(mock_detail::invoking_behaviour<F>(std::move(function)), "co_invoke", where);
}

/// Lets time pass, which a simulation's clock shows, and then does as another action, or gives a value. Cancellable.
template <class Then>
auto co_delay(duration d, Then then, std::source_location where = std::source_location::current()) {
  if constexpr (mock_detail::is_coroutine_action<Then>) {
    return mock_detail::coroutine_action(mock_detail::delaying_behaviour(d, then.behaviour()), "co_delay", where);
  } else {
    return mock_detail::coroutine_action(
        mock_detail::delaying_behaviour(d, mock_detail::giving_behaviour<Then>(std::move(then))), "co_delay", where);
  }
}
/// Lets time pass, and ends without a value.
inline auto co_delay(duration d, std::source_location where = std::source_location::current()) {
  return mock_detail::coroutine_action(mock_detail::delaying_behaviour(d, mock_detail::ending_behaviour()), "co_delay",
                                       where);
}

/// Waits until it is cancelled. In a simulation where nothing else can happen that is a deadlock, and reported so.
inline auto co_never(std::source_location where = std::source_location::current()) {
  return mock_detail::coroutine_action(mock_detail::waiting_behaviour(), "co_never", where);
}

}  // namespace penstock::testing

namespace testing::internal {

template <typename T>
class BuiltInDefaultValue;

// What gmock gives for a call that nothing provides for: its own choice is a task that is empty, and must not be
// awaited.
template <typename T>
class BuiltInDefaultValue<penstock::task<T>> {
 public:
  static bool Exists() { return true; }
  static penstock::task<T> Get() { return penstock::testing::mock_detail::unprovided_call<T>(); }
};

}  // namespace testing::internal
