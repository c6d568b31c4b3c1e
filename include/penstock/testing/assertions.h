#pragma once

// GoogleTest's assertions for coroutines: a failing ASSERT_ returns, which a coroutine may not; these co_return. Their
// arguments may contain co_await, which is evaluated first, once, from left to right. EXPECT_ works as it is, as long
// as its arguments await nothing. What CO_ASSERT_EQ and the like compare is copied before temporaries end, where it can
// be, and a string_view as a string; other views, and pointers, must not look into a temporary. A type that claims to
// be copyable and is not, such as a struct with a vector of unique_ptr, is compared under CO_ASSERT_TRUE.
//
//   task<> check(pool& p) {
//     CO_ASSERT_EQ(co_await p.count(), 3u) << "after the restart";
//     CO_EXPECT_THROW(co_await p.acquire(), db::database_error);
//   }

#include <exception>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace penstock::testing::test_detail {

// Whether a T can be copied. Containers claim it whatever is in them.
template <class T>
inline constexpr bool copies = std::is_copy_constructible_v<T>;
template <class T>
requires(!std::is_same_v<typename T::value_type, T>) inline constexpr bool copies<T> =
    std::is_copy_constructible_v<T> && copies<typename T::value_type>;
template <class A, class B>
inline constexpr bool copies<std::pair<A, B>> = copies<A>&& copies<B>;
template <class... A>
inline constexpr bool copies<std::tuple<A...>> = (copies<A> && ...);

// An operand of CO_ASSERT_EQ and the like, as it is kept beyond the temporaries that it may look into: by value, save
// what can't be copied, or would be sliced or become a pointer, which stays where it is.
template <class T>
decltype(auto) held(T&& operand) {
  using value = std::remove_cvref_t<T>;
  constexpr bool movable = !std::is_lvalue_reference_v<T> && !std::is_abstract_v<value>;
  if constexpr (std::is_same_v<value, std::string_view>)
    return std::string(operand);
  else if constexpr (movable || (std::is_lvalue_reference_v<T> && copies<value> && !std::is_polymorphic_v<value> &&
                                 !std::is_array_v<value>))
    return value(std::forward<T>(operand));
  else
    return static_cast<T&&>(operand);
}

// What CO_…_THROW reports of the statement it ran; empty when that was well.
class thrown {
 public:
  thrown(const char* statement, const char* expected) : statement_(statement), expected_(expected) {}
  explicit operator bool() const noexcept { return true; }
  void as_expected() noexcept { caught_ = true; }
  void another(const std::exception_ptr& error);
  bool failed_to_throw();
  bool failed_not_to_throw() const noexcept { return caught_; }
  const std::string& message() const noexcept { return message_; }

 private:
  const char* statement_;
  const char* expected_;
  bool caught_ = false;
  std::string message_;
};

}  // namespace penstock::testing::test_detail

// Ends the coroutine, which must be a task<void>.
#define PENSTOCK_FATAL_(message)                                                                                       \
  co_return ::testing::internal::AssertHelper(::testing::TestPartResult::kFatalFailure, __FILE__, __LINE__, message) = \
      ::testing::Message()

/// As FAIL, in a `task<void>`.
#define CO_FAIL() PENSTOCK_FATAL_("Failed")
/// As GTEST_SKIP, in a `task<void>`; a tear_down runs all the same.
#define CO_SKIP()                                                                                                \
  co_return ::testing::internal::AssertHelper(::testing::TestPartResult::kSkip, __FILE__, __LINE__, "Skipped") = \
      ::testing::Message()

#define PENSTOCK_CO_BOOLEAN_(text, value, actual, expected)                               \
  GTEST_AMBIGUOUS_ELSE_BLOCKER_                                                           \
  if (const bool penstock_value = static_cast<bool>(value); penstock_value == (expected)) \
    ;                                                                                     \
  else                                                                                    \
    PENSTOCK_FATAL_("Value of: " text "\n  Actual: " #actual "\nExpected: " #expected)

#define PENSTOCK_CO_COMPARE_(compare, a, b)                                                            \
  GTEST_AMBIGUOUS_ELSE_BLOCKER_                                                                        \
  if (auto&& penstock_a = ::penstock::testing::test_detail::held(a); false)                            \
    ;                                                                                                  \
  else if (auto&& penstock_b = ::penstock::testing::test_detail::held(b); false)                       \
    ;                                                                                                  \
  else if (const ::testing::AssertionResult penstock_result = compare(#a, #b, penstock_a, penstock_b)) \
    ;                                                                                                  \
  else                                                                                                 \
    PENSTOCK_FATAL_(penstock_result.failure_message())

/// As ASSERT_TRUE, in a `task<void>`.
#define CO_ASSERT_TRUE(condition) PENSTOCK_CO_BOOLEAN_(#condition, condition, false, true)
/// As ASSERT_FALSE, in a `task<void>`.
#define CO_ASSERT_FALSE(condition) PENSTOCK_CO_BOOLEAN_(#condition, condition, true, false)
/// As ASSERT_EQ, in a `task<void>`.
#define CO_ASSERT_EQ(a, b) PENSTOCK_CO_COMPARE_(::testing::internal::EqHelper::Compare, a, b)
/// As ASSERT_NE, in a `task<void>`.
#define CO_ASSERT_NE(a, b) PENSTOCK_CO_COMPARE_(::testing::internal::CmpHelperNE, a, b)
/// As ASSERT_LT, in a `task<void>`.
#define CO_ASSERT_LT(a, b) PENSTOCK_CO_COMPARE_(::testing::internal::CmpHelperLT, a, b)
/// As ASSERT_LE, in a `task<void>`.
#define CO_ASSERT_LE(a, b) PENSTOCK_CO_COMPARE_(::testing::internal::CmpHelperLE, a, b)
/// As ASSERT_GT, in a `task<void>`.
#define CO_ASSERT_GT(a, b) PENSTOCK_CO_COMPARE_(::testing::internal::CmpHelperGT, a, b)
/// As ASSERT_GE, in a `task<void>`.
#define CO_ASSERT_GE(a, b) PENSTOCK_CO_COMPARE_(::testing::internal::CmpHelperGE, a, b)

#define PENSTOCK_LABEL_JOIN_(a, b) a##b
#define PENSTOCK_LABEL_(a, b) PENSTOCK_LABEL_JOIN_(a, b)

#define PENSTOCK_CO_THROW_(statement, expected, fail)                                            \
  GTEST_AMBIGUOUS_ELSE_BLOCKER_                                                                  \
  if (::penstock::testing::test_detail::thrown penstock_thrown{#statement, #expected}) {         \
    try {                                                                                        \
      static_cast<void>(statement);                                                              \
    } catch (const expected&) {                                                                  \
      penstock_thrown.as_expected();                                                             \
    } catch (...) {                                                                              \
      penstock_thrown.another(std::current_exception());                                         \
    }                                                                                            \
    if (penstock_thrown.failed_to_throw()) goto PENSTOCK_LABEL_(penstock_not_thrown_, __LINE__); \
  } else                                                                                         \
    PENSTOCK_LABEL_(penstock_not_thrown_, __LINE__) : fail(penstock_thrown.message().c_str())

#define PENSTOCK_CO_NO_THROW_(statement, fail)                                                   \
  GTEST_AMBIGUOUS_ELSE_BLOCKER_                                                                  \
  if (::penstock::testing::test_detail::thrown penstock_thrown{#statement, nullptr}) {           \
    try {                                                                                        \
      static_cast<void>(statement);                                                              \
    } catch (...) {                                                                              \
      penstock_thrown.another(std::current_exception());                                         \
    }                                                                                            \
    if (penstock_thrown.failed_not_to_throw()) goto PENSTOCK_LABEL_(penstock_thrown_, __LINE__); \
  } else                                                                                         \
    PENSTOCK_LABEL_(penstock_thrown_, __LINE__) : fail(penstock_thrown.message().c_str())

/// As EXPECT_THROW, for an expression that may await. Another exception is reported with its async traceback.
#define CO_EXPECT_THROW(expression, exception) PENSTOCK_CO_THROW_(expression, exception, GTEST_NONFATAL_FAILURE_)
/// As ASSERT_THROW, in a `task<void>`.
#define CO_ASSERT_THROW(expression, exception) PENSTOCK_CO_THROW_(expression, exception, PENSTOCK_FATAL_)
/// As EXPECT_NO_THROW, for an expression that may await.
#define CO_EXPECT_NO_THROW(expression) PENSTOCK_CO_NO_THROW_(expression, GTEST_NONFATAL_FAILURE_)
/// As ASSERT_NO_THROW, in a `task<void>`.
#define CO_ASSERT_NO_THROW(expression) PENSTOCK_CO_NO_THROW_(expression, PENSTOCK_FATAL_)
