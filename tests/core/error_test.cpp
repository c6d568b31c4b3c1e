#include <penstock/core/error.h>

#include <source_location>
#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::ElementsAre;

error bad_unit(std::string message) { return {core_errc::bad_unit, std::move(message)}; }

TEST(error, has_a_code_a_message_and_the_place_where_it_was_made) {
  std::source_location before = std::source_location::current();
  error e(core_errc::bad_unit, "'5 parsecs': expected a size");
  EXPECT_EQ(e.code(), "core.bad_unit");
  EXPECT_TRUE(e.is(core_errc::bad_unit));
  EXPECT_EQ(e.message(), "'5 parsecs': expected a size");
  EXPECT_STREQ(e.what(), "'5 parsecs': expected a size");
  EXPECT_EQ(e.where().line(), before.line() + 1);
  EXPECT_EQ(e.cause(), nullptr);
  EXPECT_TRUE(e.context().empty());
}

TEST(error, context_is_added_on_its_way_up_and_shown_behind_the_message) {
  error e = bad_unit("no size");
  e.add_context("while reading line 3").add_context("while loading orders.csv");
  EXPECT_STREQ(e.what(), "no size (while reading line 3, while loading orders.csv)");
  EXPECT_EQ(e.message(), "no size");
  EXPECT_THAT(e.context(), ElementsAre("while reading line 3", "while loading orders.csv"));
}

TEST(error, context_added_to_a_copy_is_seen_by_all) {
  error one = bad_unit("no size");
  error two = one;
  two.add_context("here");
  EXPECT_STREQ(one.what(), "no size (here)");
}

TEST(error, context_added_while_it_is_caught_travels_on) {
  try {
    try {
      throw bad_unit("no size");
    } catch (error& e) {
      e.add_context("inside");
      throw;
    }
  } catch (const error& e) {
    EXPECT_STREQ(e.what(), "no size (inside)");
  }
}

TEST(error, keeps_its_cause) {
  auto cause = std::make_exception_ptr(std::runtime_error("disk full"));
  error e(core_errc::bad_unit, "not read", cause);
  EXPECT_EQ(e.cause(), cause);
}

TEST(error, one_that_is_assigned_or_moved_from_is_still_whole) {
  error one = bad_unit("one");
  error two = std::move(one);
  EXPECT_STREQ(one.what(), "one");  // NOLINT(bugprone-use-after-move): moving is
                                    // copying, and promised to be.
  two = bad_unit("three");
  EXPECT_STREQ(two.what(), "three");
}

}  // namespace
}  // namespace penstock
