#include "penstock/core/nearest.h"

#include <array>

#include <gtest/gtest.h>

namespace penstock {
namespace {

constexpr std::array<std::string_view, 6> names{"batch.rows", "batch.bytes", "queue.items",
                                                "log.level",  "serve",       "load"};

TEST(nearest, finds_the_name_with_the_fewest_typing_errors) {
  struct example {
    std::string_view typed;
    std::string_view meant;
  };
  for (auto [typed, meant] : std::array<example, 10>{{{"batch.row", "batch.rows"},
                                                      {"batch_rows", "batch.rows"},
                                                      {"BATCH.ROWS", "batch.rows"},
                                                      {"bacth.byets", "batch.bytes"},
                                                      {"queue.item", "queue.items"},
                                                      {"loglevel", "log.level"},
                                                      {"sevre", "serve"},
                                                      {"laod", "load"},
                                                      {"serve", "serve"},
                                                      {"server", "serve"}}})
    EXPECT_EQ(nearest(typed, names), meant) << typed;
}

TEST(nearest, suggests_nothing_when_no_name_can_be_meant) {
  EXPECT_EQ(nearest("colour", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest("x", {}), "");
  EXPECT_EQ(nearest(std::string(100'000, 'a'), names), "");
}

TEST(nearest, a_suggestion_ends_a_message) {
  EXPECT_EQ("unknown command 'laod'" + suggestion("laod", names), "unknown command 'laod'; did you mean 'load'?");
  EXPECT_EQ(suggestion("colour", names), "");
}

}  // namespace
}  // namespace penstock
