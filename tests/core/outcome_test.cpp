#include <penstock/core/error.h>
#include <penstock/core/outcome.h>

#include <memory>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace penstock {
namespace {

std::exception_ptr failure() { return std::make_exception_ptr(std::out_of_range("far")); }

TEST(outcome, holds_a_value) {
  outcome<std::string> o(std::string("text"));
  EXPECT_TRUE(o);
  EXPECT_EQ(o.value(), "text");
  EXPECT_EQ(*o, "text");
  EXPECT_EQ(o->size(), 4u);
  EXPECT_EQ(o.exception(), nullptr);
  EXPECT_EQ(o.value_or("other"), "text");
  EXPECT_EQ(o.error_as<std::exception>(), nullptr);
}

TEST(outcome, holds_a_failure_and_throws_it_when_asked_for_the_value) {
  outcome<int> o(failure());
  EXPECT_FALSE(o);
  EXPECT_THROW((void)o.value(), std::out_of_range);
  EXPECT_THROW((void)std::move(o).value(), std::out_of_range);
  EXPECT_EQ(o.value_or(7), 7);
  EXPECT_NE(o.exception(), nullptr);
}

TEST(outcome, gives_the_exception_as_its_type_or_a_base_of_it) {
  outcome<int> o(failure());
  ASSERT_NE(o.error_as<std::out_of_range>(), nullptr);
  EXPECT_STREQ(o.error_as<std::out_of_range>()->what(), "far");
  EXPECT_NE(o.error_as<std::logic_error>(), nullptr);
  EXPECT_EQ(o.error_as<std::runtime_error>(), nullptr);
  EXPECT_EQ(o.error_as<error>(), nullptr);
}

TEST(outcome, of_what_can_only_be_moved) {
  outcome<std::unique_ptr<int>> o(std::make_unique<int>(5));
  std::unique_ptr<int> moved = *std::move(o);
  EXPECT_EQ(*moved, 5);
  outcome<std::unique_ptr<int>> other(std::make_unique<int>(6));
  outcome<std::unique_ptr<int>> third = std::move(other);
  EXPECT_EQ(*std::move(third).value(), 6);
}

TEST(outcome, of_nothing_is_success_or_failure) {
  outcome<void> well;
  EXPECT_TRUE(well);
  EXPECT_NO_THROW(well.value());
  outcome<void> badly(failure());
  EXPECT_FALSE(badly);
  EXPECT_THROW(badly.value(), std::out_of_range);
  EXPECT_NE(badly.error_as<std::out_of_range>(), nullptr);
}

}  // namespace
}  // namespace penstock
