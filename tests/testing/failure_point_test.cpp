#include <penstock/testing/failure_point.h>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

TEST(failure_point, nothing_fails_without_a_plan) { EXPECT_FALSE(should_fail("write")); }

TEST(failure_point, exactly_the_operation_with_that_number_fails) {
  failure_plan second(1);
  EXPECT_FALSE(should_fail("connect"));
  EXPECT_EQ(second.failed(), std::nullopt);
  EXPECT_TRUE(should_fail("write"));
  EXPECT_FALSE(should_fail("write"));
  EXPECT_EQ(second.failed(), "write");
  EXPECT_EQ(second.counted(), 3u);
}

TEST(failure_point, a_plan_without_a_number_only_counts) {
  failure_plan none;
  EXPECT_FALSE(should_fail("connect"));
  EXPECT_FALSE(should_fail("write"));
  EXPECT_EQ(none.counted(), 2u);
}

TEST(failure_point, an_inner_plan_takes_the_place_of_the_outer_one) {
  failure_plan outer(1);
  EXPECT_FALSE(should_fail("connect"));
  {
    failure_plan inner(0);
    EXPECT_TRUE(should_fail("connect"));
  }
  EXPECT_TRUE(should_fail("write"));
  EXPECT_EQ(outer.counted(), 2u);
}

}  // namespace
}  // namespace penstock::testing
