#include "failing_case.h"
#include <penstock/async/yield.h>

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace penstock::testing {
namespace {

task<int> gives(int value) {
  co_await yield();
  co_return value;
}

task<std::string> text() {
  co_await yield();
  co_return std::string("a text that is too long for the small buffer");
}

task<void> throws_out_of_range() {
  co_await yield();
  throw std::out_of_range("no such place");
}

PENSTOCK_TEST(assertions, that_hold_let_the_body_go_on) {
  CO_ASSERT_TRUE(co_await gives(1) == 1);
  CO_ASSERT_FALSE(co_await gives(1) == 2);
  CO_ASSERT_EQ(co_await gives(3), 3);
  CO_ASSERT_EQ(co_await text(), co_await text());
  CO_ASSERT_NE(co_await gives(3), co_await gives(4));
  CO_ASSERT_LT(co_await gives(3), 4);
  CO_ASSERT_LE(4, co_await gives(4));
  CO_ASSERT_GT(5, 4) << "with a message";
  CO_ASSERT_GE(co_await gives(4), 4);
  std::unique_ptr<int> pointer;
  CO_ASSERT_EQ(pointer, nullptr);
  CO_ASSERT_THROW(co_await throws_out_of_range(), std::out_of_range);
  CO_EXPECT_THROW(co_await throws_out_of_range(), std::logic_error) << "a base will do";
  CO_ASSERT_NO_THROW(co_await gives(1));
  CO_EXPECT_NO_THROW(co_await text());
}

task<std::vector<std::string>> texts() {
  co_await yield();
  co_return std::vector<std::string>{"another text that is too long for the small buffer"};
}

// What is freed is written over, and seen by AddressSanitizer.
PENSTOCK_TEST(assertions, may_look_into_temporaries) {
  CO_ASSERT_EQ(std::string_view(co_await text()), "a text that is too long for the small buffer");
  CO_ASSERT_NE("a text that is too long for the small buffer", std::string_view(co_await text()).substr(1));
  CO_ASSERT_EQ((co_await texts()).front(), "another text that is too long for the small buffer");
  CO_ASSERT_EQ(std::optional(co_await text()).value(), co_await text());
}

PENSTOCK_TEST(assertions, leave_alone_what_can_not_be_copied) {
  std::vector<std::unique_ptr<int>> one;
  one.push_back(std::make_unique<int>(1));
  CO_ASSERT_NE(one.front(), nullptr);
  std::unique_ptr<int>& same = one.front();
  CO_ASSERT_EQ(one.front(), same);
  const char letters[] = {'a', '\0'};
  CO_ASSERT_EQ(letters, std::string("a"));
}

class shape {
 public:
  virtual ~shape() = default;
  virtual int corners() const = 0;
  bool operator==(const shape& other) const { return corners() == other.corners(); }
};
class triangle final : public shape {
 public:
  int corners() const override { return 3; }
};

PENSTOCK_TEST(assertions, leave_alone_what_can_be_copied_in_name_only) {
  std::vector<std::unique_ptr<int>> list;
  CO_ASSERT_EQ(list, list);
  std::map<int, std::vector<std::unique_ptr<int>>> lists;
  CO_ASSERT_EQ(lists, lists);
  std::pair<int, std::vector<std::unique_ptr<int>>> one;
  CO_ASSERT_EQ(one, one);
  std::tuple<int, std::optional<std::vector<std::unique_ptr<int>>>> another;
  CO_ASSERT_EQ(another, another);
  triangle plain;
  shape& as_shape = plain;
  CO_ASSERT_EQ(std::move(as_shape), plain);
}

TEST(assertions, a_body_can_fail_or_skip_by_itself) {
  for (bool skips : {false, true}) {
    ::testing::TestPartResultArray caught;
    {
      ::testing::ScopedFakeTestPartResultReporter reporter(
          ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &caught);
      lambda_case test([skips]() -> task<> {
        co_await yield();
        if (skips) CO_SKIP() << "not here";
        CO_FAIL() << "not here";
      });
      test_detail::run_simulated(test, nullptr);
    }
    ASSERT_EQ(caught.size(), 1);
    EXPECT_EQ(caught.GetTestPartResult(0).skipped(), skips);
    EXPECT_EQ(caught.GetTestPartResult(0).fatally_failed(), !skips);
    EXPECT_TRUE(contains(caught.GetTestPartResult(0).message(), "not here"));
  }
}

TEST(assertions, a_fatal_one_ends_the_body) {
  bool went_on = false;
  std::string failures = failures_of_test([&]() -> task<> {
    CO_ASSERT_EQ(co_await gives(3), 4) << "on the third try";
    went_on = true;
  });
  EXPECT_FALSE(went_on);
  EXPECT_TRUE(contains(failures, "Expected equality of these values:\n  co_await gives(3)\n    Which is: 3\n  4\n"));
  EXPECT_TRUE(contains(failures, "on the third try"));
}

TEST(assertions, say_what_was_compared) {
  auto fails = [](const std::string& part, const lambda_case::part& body) {
    EXPECT_TRUE(contains(failures_of_test(body), part));
  };
  fails("Value of: co_await gives(1) == 2\n  Actual: false\nExpected: true",
        []() -> task<> { CO_ASSERT_TRUE(co_await gives(1) == 2); });
  fails("Actual: true\nExpected: false", []() -> task<> { CO_ASSERT_FALSE(co_await gives(1) == 1); });
  fails("Expected: (co_await gives(1)) != (1), actual: 1 vs 1", []() -> task<> { CO_ASSERT_NE(co_await gives(1), 1); });
  fails("(co_await gives(1)) < (1)", []() -> task<> { CO_ASSERT_LT(co_await gives(1), 1); });
  fails("(co_await gives(1)) <= (0)", []() -> task<> { CO_ASSERT_LE(co_await gives(1), 0); });
  fails("(co_await gives(1)) > (1)", []() -> task<> { CO_ASSERT_GT(co_await gives(1), 1); });
  fails("(co_await gives(1)) >= (2)", []() -> task<> { CO_ASSERT_GE(co_await gives(1), 2); });
}

TEST(assertions, an_expected_exception_that_does_not_come_is_a_failure) {
  bool went_on = false;
  std::string failures = failures_of_test([&]() -> task<> {
    CO_EXPECT_THROW(co_await gives(1), std::out_of_range) << "a message";
    went_on = true;
    CO_ASSERT_THROW(co_await gives(1), std::out_of_range);
    went_on = false;
  });
  EXPECT_TRUE(went_on);
  EXPECT_TRUE(contains(failures, "co_await gives(1) throws std::out_of_range.\n  Actual: it throws nothing."));
  EXPECT_TRUE(contains(failures, "a message"));
}

TEST(assertions, another_exception_is_reported_with_its_traceback) {
  std::string failures = failures_of_test([]() -> task<> {
    CO_EXPECT_THROW(co_await throws_out_of_range(), std::runtime_error);
    CO_ASSERT_NO_THROW(co_await throws_out_of_range());
  });
  EXPECT_TRUE(contains(failures, "it throws another exception:\n"));
  EXPECT_TRUE(contains(failures, "co_await throws_out_of_range() throws nothing.\n  Actual: it throws:\n"));
  EXPECT_TRUE(contains(failures, "no such place"));
  EXPECT_TRUE(contains(failures, "throws_out_of_range"));
}

}  // namespace
}  // namespace penstock::testing
