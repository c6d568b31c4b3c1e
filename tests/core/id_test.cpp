#include <penstock/core/id.h>

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(id, thirteen_characters_that_are_safe_anywhere) {
  EXPECT_EQ(make_id(0), "0000000000000");
  EXPECT_EQ(make_id(~0ULL), "fzzzzzzzzzzzz");
  EXPECT_EQ(make_id(31), "000000000000z");
  for (std::uint64_t bits : {0x0123456789abcdefULL, 0xfedcba9876543210ULL, 0x9e3779b97f4a7c15ULL})
    EXPECT_EQ(make_id(bits).find_first_not_of("0123456789abcdefghjkmnpqrstvwxyz"), std::string::npos);
}

TEST(id, every_bit_counts) {
  std::set<std::string> ids{make_id(0)};
  for (int bit = 0; bit < 64; ++bit) ids.insert(make_id(1ULL << bit));
  EXPECT_EQ(ids.size(), 65u);
}

}  // namespace
}  // namespace penstock
