#include "penstock/testing/detail/mocked_call.h"

#include "penstock/testing/error.h"

#include <exception>
#include <utility>

#include <gtest/gtest.h>

namespace penstock::testing::mock_detail {

await_check::await_check(std::string_view action, std::string arguments, std::source_location where)
    : action_(action), arguments_(std::move(arguments)), where_(where), exceptions_(std::uncaught_exceptions()) {}

await_check::await_check(await_check&& other) noexcept
    : action_(other.action_),
      arguments_(std::move(other.arguments_)),
      where_(other.where_),
      exceptions_(other.exceptions_),
      armed_(std::exchange(other.armed_, false)) {}

await_check::~await_check() {
  if (!armed_ || std::uncaught_exceptions() > exceptions_) return;
  ADD_FAILURE_AT(where_.file_name(), static_cast<int>(where_.line()))
      << "a mocked call was made and never awaited: the task of this " << action_ << ", for the call (" << arguments_
      << "), was destroyed before it began";
}

void throw_value_was_given() {
  throw error(
      testing_errc::value_was_given,
      "co_return_value was called twice for a value that can only be moved: use co_invoke and make one each time");
}

std::exception_ptr unprovided_call_error() {
  return std::make_exception_ptr(
      error(testing_errc::unprovided_call,
            "a mocked call was awaited that no expectation and no ON_CALL provides for; gmock's report says which"));
}

}  // namespace penstock::testing::mock_detail
