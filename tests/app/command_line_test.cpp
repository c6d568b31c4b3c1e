// What the penstock command says and gives back for arguments, without a process.

#include "app/command_line.h"

#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace penstock::app {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct said {
  int code;
  std::string out;
  std::string err;
};

said run(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  int code = run_command_line(arguments, out, err);
  return {code, out.str(), err.str()};
}

TEST(command_line, the_version_goes_to_standard_output) {
  said s = run({"--version"});
  EXPECT_EQ(s.code, 0);
  EXPECT_THAT(s.out, StartsWith("penstock "));
  EXPECT_EQ(s.err, "");
}

TEST(command_line, help_is_no_failure) {
  said s = run({"--help"});
  EXPECT_EQ(s.code, 0);
  EXPECT_THAT(s.out, HasSubstr("Usage: penstock"));
}

TEST(command_line, no_argument_shows_the_help_as_a_usage_error) {
  said s = run({});
  EXPECT_EQ(s.code, 2);
  EXPECT_THAT(s.err, HasSubstr("Usage: penstock"));
}

TEST(command_line, a_mistyped_option_is_named_with_the_nearest_one) {
  said s = run({"--verson"});
  EXPECT_EQ(s.code, 2);
  EXPECT_THAT(s.err, StartsWith("penstock: unknown option '--verson'; did you mean '--version'?\n"));
}

}  // namespace
}  // namespace penstock::app
