#include "app/printable.h"

#include <gtest/gtest.h>

namespace penstock::app {
namespace {

TEST(printable, leaves_no_control_character) {
  EXPECT_EQ(printable("a\x1b[31mb\r\n\tc\x7f"), "a?[31mb???c?");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "?31m");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "?");
}

TEST(printable, keeps_all_other_text) {
  const char* text = "caf\xc3\xa9 \xc2\xa0 \xe2\x82\xac \xf0\x9f\x98\x80 ~";
  EXPECT_EQ(printable(text), text);
  EXPECT_EQ(printable("cut \xc2"), "cut \xc2");
}

}  // namespace
}  // namespace penstock::app
