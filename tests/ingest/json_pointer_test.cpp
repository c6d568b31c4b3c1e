#include <penstock/ingest/json_pointer.h>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

TEST(json_pointer, to_a_member_keeps_every_name_in_one_token) {
  EXPECT_EQ(pointer_to_member("total"), "/total");
  EXPECT_EQ(pointer_to_member(""), "/");
  EXPECT_EQ(pointer_to_member("km/h"), "/km~1h");
  EXPECT_EQ(pointer_to_member("~1/~0"), "/~01~1~00");
}

}  // namespace
}  // namespace penstock::ingest
