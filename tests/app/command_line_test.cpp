// What the penstock command says and gives back for arguments, without a process.

#include "app/command_line.h"

#include "app/commands.h"

#include <cerrno>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>

namespace penstock::app {
namespace {

using testing::AnyOf;
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

TEST(command_line, a_config_file_without_a_name_is_not_none) {
  said s = run({"serve", "--config", "", "--print-config"});
  EXPECT_EQ(s.code, 2);
  EXPECT_THAT(s.err, StartsWith("penstock: cannot read the config file '': "));
}

TEST(command_line, numbers_that_load_can_not_use_are_refused_by_the_name_of_their_option) {
  for (std::string option : {"--max-retries=-1", "--timeout=0s", "--timeout=0", "--concurrency=0"}) {
    said s = run({"load", "/no/such/file", "--to", "http://h/v1/items", option});
    EXPECT_EQ(s.code, 2);
    EXPECT_THAT(s.err, StartsWith("penstock: " + option.substr(0, option.find('=')) + ": ")) << option;
  }
}

TEST(command_line, an_argument_in_the_wrong_place_shows_no_password) {
  std::vector<std::vector<std::string>> wrong = {
      {"serve", "mariadb://u:s3cret@h/d"},
      {"serve", "u:s3cret@h/d"},
      {"serve", "mariadb://u:s3 cret@h/d"},
      {"mariadb://u:s3cret@h/d"},
      {"serve", "-mariadb://u:s3cret@h/d"},
      {"serve", "--config", "mariadb://u:s3cret@h/d"},
      {"serve", "--listen", "http://u:s3cret@h:80"},
      {"load", "x", "--to", "http://h/v1/items", "--concurrency", "http://u:s3cret@h/"},
      {"load", "x", "--to", "http://h/v1/items", "--format", "http://u:s3cret@h/"},
      {"load", "http://u:s3cret@h/", "--to", "http://h/v1/items"},
      {"fetch", "--from", "http://u:s3cret@h/"},
  };
  for (const std::vector<std::string>& arguments : wrong) {
    said s = run(arguments);
    EXPECT_EQ(s.code, 2);
    EXPECT_THAT(s.err, Not(AnyOf(HasSubstr("s3"), HasSubstr("cret"))));
    EXPECT_THAT(s.err, HasSubstr("u:***@h")) << s.err;
  }
}

TEST(command_line, a_complaint_shows_no_password) {
  std::vector<std::vector<std::string>> wrong = {
      {"load", "x", "--to", "http://u:s3cret@host"},
      {"load", "x", "--to", "http:/u:s3cret@host/v1/items"},
      {"load", "x", "--to", "http://h/v1/items", "--header", "Authorization Bearer s3cret"},
      {"load", "x", "--to", "http://h/v1/items", "--header", "Authorization=s3cret"},
      {"check", "--store", "postgresql:/u:s3cret@h/db"},
  };
  for (const std::vector<std::string>& arguments : wrong) {
    said s = run(arguments);
    EXPECT_EQ(s.code, 2);
    EXPECT_THAT(s.err, Not(HasSubstr("s3cret")));
    EXPECT_THAT(s.err, HasSubstr("expected")) << s.err;
  }
}

TEST(command_line, an_option_whose_value_is_empty_does_not_take_the_next_argument_for_it) {
  for (const char* empty : {"--log-file=", "--http-server-name="}) {
    said s = run({"serve", empty, "--config=not-there.toml", "--print-config"});
    EXPECT_EQ(s.code, 2) << empty;
    EXPECT_THAT(s.err, StartsWith("penstock: cannot read the config file not-there.toml: ")) << empty;
  }
  said s = run({"serve", "--grace-period=", "--print-config"});
  EXPECT_EQ(s.code, 2);
  EXPECT_THAT(s.err, HasSubstr("--grace-period: ''"));
  s = run({"serve", "--print-config=", "--print-config-reference"});
  EXPECT_EQ(s.code, 2) << "a switch has no value";
}

TEST(command_line, a_complaint_of_a_url_is_whole_where_its_end_is_masked) {
  said s = run({"check", "--store", "mariadb://u:p@h/db?password=s3cret"});
  EXPECT_EQ(s.code, 2);
  EXPECT_THAT(s.err, HasSubstr("'mariadb://u:***@h/db?password=***': unknown option 'password'")) << s.err;
}

TEST(command_line, a_number_too_large_for_any_count_is_told_the_largest) {
  said s = run({"serve", "--print-config", "--batch-max-rows", "99999999999999999999"});
  EXPECT_EQ(s.code, 2);
  EXPECT_THAT(s.err, HasSubstr("'99999999999999999999': expected at most 4611686018427387904"));
}

// As std::thread says it where there is none to be had.
TEST(command_line, a_thread_that_can_not_be_had_is_named_with_the_limits) {
  CLI::App throwing("", "penstock");
  throwing.callback([] { throw std::system_error(EAGAIN, std::generic_category()); });
  std::ostringstream out, err;
  int code = exit_ok;
  EXPECT_EQ(penstock::app::run(throwing, {}, code, out, err), 1);
  EXPECT_THAT(err.str(), StartsWith("penstock: no thread could be started: Resource temporarily unavailable; "));
  EXPECT_THAT(err.str(), HasSubstr("ulimit -u"));
}

}  // namespace
}  // namespace penstock::app
