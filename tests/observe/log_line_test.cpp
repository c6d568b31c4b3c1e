#include "penstock/async/timeout.h"
#include "penstock/async/yield.h"
#include "penstock/core/error.h"
#include "penstock/observe/error.h"
#include "penstock/observe/log.h"
#include "penstock/observe/log_capture.h"
#include "penstock/observe/request_context.h"
#include "penstock/testing/simulation.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string text_of(std::string_view message, std::initializer_list<log::field> fields) {
  log::capture logged(log::line_format::text);
  log::info(message, fields);
  return logged.lines().at(0).substr(std::string_view("2000-01-01T00:00:00.000000Z ").size());
}

// The part that the caller gave.
std::string json_of(std::string_view message, std::initializer_list<log::field> fields) {
  log::capture logged(log::line_format::json);
  log::info(message, fields);
  std::string line = logged.lines().at(0);
  return line.substr(line.find("\"message\""));
}

std::string error_code_of(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const error& e) {
    return std::string(e.code()) + ": " + e.message();
  }
  return "no error";
}

TEST(log_line, text_shows_level_message_and_fields_of_every_type) {
  std::string name = "orders";
  EXPECT_EQ(text_of("batch committed", {{"stream", name},
                                        {"table", "t"},
                                        {"rows", 10},
                                        {"bytes", std::uint64_t{18446744073709551615U}},
                                        {"delta", std::int64_t{-5}},
                                        {"ratio", 0.25},
                                        {"last", true},
                                        {"elapsed", 1500us}}),
            "INFO  batch committed stream=orders table=t rows=10 bytes=18446744073709551615 delta=-5 ratio=0.25 "
            "last=true elapsed=1.5ms");
}

TEST(log_line, json_shows_every_type_and_durations_as_seconds) {
  EXPECT_EQ(json_of("batch committed", {{"stream", "orders"},
                                        {"rows", 10},
                                        {"most", std::uint64_t{18446744073709551615U}},
                                        {"delta", std::int64_t{-5}},
                                        {"ratio", 0.25},
                                        {"last", false},
                                        {"elapsed", 1500us}}),
            R"("message":"batch committed","stream":"orders","rows":10,"most":18446744073709551615,"delta":-5,)"
            R"("ratio":0.25,"last":false,"elapsed":0.0015})");
}

TEST(log_line, json_has_no_number_for_what_is_not_finite) {
  EXPECT_EQ(json_of("x", {{"a", std::numeric_limits<double>::quiet_NaN()},
                          {"b", std::numeric_limits<double>::infinity()},
                          {"c", -std::numeric_limits<double>::infinity()}}),
            R"("message":"x","a":"NaN","b":"Infinity","c":"-Infinity"})");
}

TEST(log_line, durations_in_text_have_three_digits_that_matter) {
  struct {
    std::chrono::nanoseconds value;
    std::string_view text;
  } const table[] = {{0ns, "0ns"},         {999ns, "999ns"},  {1000ns, "1us"}, {1234ns, "1.23us"}, {999'999ns, "1ms"},
                     {12'345us, "12.3ms"}, {999'600us, "1s"}, {90s, "90s"},    {2h, "7200s"},      {-1500us, "-1.5ms"}};
  for (const auto& row : table) EXPECT_EQ(text_of("x", {{"d", row.value}}), "INFO  x d=" + std::string(row.text));
}

TEST(log_line, a_line_begins_with_the_schedulers_wall_time) {
  testing::simulation sim;
  log::capture logged(log::line_format::text);
  auto main = []() -> task<> {
    log::info("at the start");
    co_await sleep_for(26h + 1us);
    log::info("later");
  };
  sim.run(main());
  EXPECT_THAT(logged.lines().at(0), StartsWith("2000-01-01T00:00:00.000000Z INFO  at the start"));
  EXPECT_THAT(logged.lines().at(1), StartsWith("2000-01-02T02:00:00.000001Z INFO  later"));
}

TEST(log_line, hostile_text_stays_in_its_line_and_its_value) {
  struct {
    std::string_view given;
    std::string_view text;
    std::string_view json;
  } const table[] = {
      {"plain", "plain", "plain"},
      {"", R"("")", ""},
      {"two words", R"("two words")", "two words"},
      {"a=b", R"("a=b")", "a=b"},
      {R"(say "hi" \ bye)", R"("say \"hi\" \\ bye")", R"(say \"hi\" \\ bye)"},
      {"line\nbreak\r\n\ttab", R"("line\nbreak\r\n\ttab")", R"(line\nbreak\r\n\ttab)"},
      {std::string_view("nul\0!", 5), R"("nul\u0000!")", R"(nul\u0000!)"},
      {"\x1b[31mred", R"("\u001b[31mred")", R"(\u001b[31mred)"},
      {"del\x7f", R"("del\u007f")", R"(del\u007f)"},
      {"next\xC2\x85line", R"("next\u0085line")", R"(next\u0085line)"},
      {"sep\xE2\x80\xA8x", R"("sep\u2028x")", R"(sep\u2028x)"},
      {"bidi\xE2\x80\xAEx", R"("bidi\u202ex")", R"(bidi\u202ex)"},
      {"gr\xC3\xBC\xC3\x9F", "\"gr\xC3\xBC\xC3\x9F\"", "gr\xC3\xBC\xC3\x9F"},
      {"\xF0\x9F\x9A\xB0", "\"\xF0\x9F\x9A\xB0\"", "\xF0\x9F\x9A\xB0"},
      {"bad\xFF", "\"bad\xEF\xBF\xBD\"", "bad\xEF\xBF\xBD"},
      {"cut\xE2\x82", "\"cut\xEF\xBF\xBD\xEF\xBF\xBD\"", "cut\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"overlong\xC0\xAF", "\"overlong\xEF\xBF\xBD\xEF\xBF\xBD\"", "overlong\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"surrogate\xED\xA0\x80", "\"surrogate\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"",
       "surrogate\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
  };
  for (const auto& row : table) {
    EXPECT_EQ(text_of("x", {{"v", row.given}}), "INFO  x v=" + std::string(row.text));
    EXPECT_EQ(json_of("x", {{"v", row.given}}), R"("message":"x","v":")" + std::string(row.json) + "\"}");
  }
}

TEST(log_line, a_message_and_a_key_cannot_forge_a_line) {
  EXPECT_EQ(text_of("done\n2000 INFO forged", {{"a\nb =c", 1}}), R"(INFO  done\n2000 INFO forged a_b__c=1)");
  EXPECT_EQ(json_of("done\"}\n{", {{"a\n\"", 1}}), R"("message":"done\"}\n{","a\n\"":1})");
}

TEST(log_line, a_field_with_a_name_of_ours_is_renamed) {
  EXPECT_EQ(json_of("x", {{"time", 1}, {"level", 2}, {"message", 3}, {"error", 4}, {"traceback", 5}}),
            R"("message":"x","time_":1,"level_":2,"message_":3,"error_":4,"traceback_":5})");
}

TEST(log_line, a_name_that_stands_already_is_renamed) {
  EXPECT_EQ(json_of("x", {{"a", 1}, {"a", 2}, {"a_", 3}, {"time", 4}, {"time_", 5}, {"time", 6}}),
            R"("message":"x","a":1,"a_":2,"a__":3,"time_":4,"time__":5,"time___":6})");
  EXPECT_EQ(json_of("x", {{"a\xff", 1}, {"a\xfe", 2}}), "\"message\":\"x\",\"a\xEF\xBF\xBD\":1,\"a\xEF\xBF\xBD_\":2}");
  std::string line = json_of("x", {{std::string(200, 'k'), 1}, {std::string(199, 'k') + "l", 2}});
  EXPECT_THAT(line, AllOf(HasSubstr("(72 bytes cut)\":1"), HasSubstr("(73 bytes cut)\":2")));
}

TEST(log_line, a_field_does_not_hide_the_code_of_a_failure) {
  log::capture logged(log::line_format::json);
  log::exception(log::level::warn, "x", std::make_exception_ptr(error(observe_errc::log_file, "y")),
                 {{"error_code", 1}});
  EXPECT_THAT(logged.lines().at(0), HasSubstr(R"("message":"x","error_code_":1,"error_code":"observe.log_file",)"));
}

TEST(log_line, any_bytes_give_one_valid_json_line_and_one_text_line) {
  std::mt19937_64 random(7);
  simdjson::dom::parser parser;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    log::capture json(log::line_format::json);
    log::info(bytes, {{bytes, bytes}});
    std::string line = json.lines().at(0);
    simdjson::dom::element parsed;
    ASSERT_EQ(parser.parse(line).get(parsed), simdjson::SUCCESS) << line;
    std::string text = text_of(bytes, {{bytes, bytes}});
    for (const std::string& one : {line, text})
      ASSERT_EQ(std::count_if(one.begin(), one.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }), 0);
    ASSERT_TRUE(simdjson::validate_utf8(text));
  }
}

TEST(log_line, long_texts_are_cut_and_say_so) {
  std::string line = text_of("x", {{"v", std::string(20'000, 'a')}});
  EXPECT_LT(line.size(), 17'000U);
  EXPECT_THAT(line, EndsWith("a... (3616 bytes cut)\""));
}

TEST(log_line, secrets_are_redacted_by_name) {
  for (std::string_view name : {"password",      "db_password",         "Password",     "passwd",     "pwd",
                                "secret",        "client-secret",       "clientSecret", "token",      "access_token",
                                "accessToken",   "X-Auth-Token",        "api_key",      "apiKey",     "API-Key",
                                "Authorization", "Proxy-Authorization", "Cookie",       "Set-Cookie", "credentials",
                                "private_key",   "passphrase",          "bearer",       "jwt"})
    EXPECT_EQ(text_of("x", {{name, "hunter2"}}).find("hunter2"), std::string::npos) << name;
  for (std::string_view name : {"tokenizer", "tokens", "compass", "author", "path", "keyboard", "pass_count", ""})
    EXPECT_FALSE(log::names_a_secret(name)) << name;
  EXPECT_THAT(json_of("x", {{"token", 12345}}), HasSubstr(R"("token":"[redacted]")"));
}

TEST(log_line, urls_lose_their_password) {
  struct {
    std::string_view url;
    std::string_view redacted;
  } const table[] = {
      {"mariadb://u:p@h", "mariadb://u:***@h"},
      {"mariadb://u:p@h:3306/db?x=1", "mariadb://u:***@h:3306/db?x=1"},
      {"redis://:p@h", "redis://:***@h"},
      {"mariadb://u:p@ss:w@h/db", "mariadb://u:***@h/db"},
      {"mariadb://u:p/w@h/db", "mariadb://u:***@h/db"},
      {"mariadb://u:p@h:1/db,mariadb://u:q@g:2/db", "mariadb://u:***@h:1/***@g:2/db"},
      {"mariadb://u:p@h:1/db,u:q@g:2/db?x=1", "mariadb://u:***@h:1/***@g:2/db?x=1"},
      {"mariadb://u:p@h/db?x=1,mariadb://v:q@g/db", "mariadb://u:***@h/***@g/db"},
      {"mariadb://u:p@h/db?tls_ca=/a@b", "mariadb://u:***@h/db?tls_ca=/a@b"},
      {"mariadb://u:p@h", "mariadb://u:***@h"},
      {"postgres://u@h/db", "postgres://u@h/db"},
      {"http://h:8080/a@b", "http://h:8080/a@b"},
      {"http://[::1]:8080/a@b", "http://[::1]:8080/a@b"},
      {"http://h/?token=abc&q=1#f", "http://h/?token=***&q=1#f"},
      {"http://h/?q=1&api_key=abc", "http://h/?q=1&api_key=***"},
      {"/x?token=abc&q=1", "/x?token=***&q=1"},
      {"//u:p@h/x?token=abc", "//u:***@h/x?token=***"},
      {"/x?jwt=abc&u=http://u:p@h&token=abc", "/x?jwt=***&u=http://u:***@h&token=***"},
      {"mariadb:/u:p@h/db", "mariadb:/u:***@h/db"},
      {"mariadb//u:p/w@h", "mariadb//u:***@h"},
      {"mariadb:u:p@h", "mariadb:***@h"},
      {"u:p@h/db?token=abc", "u:***@h/db?token=***"},
      {"localhost:8080/a@b", "localhost:8080/a@b"},
      {"/a:b@c", "/a:b@c"},
      {"sqlite:penstock.db", "sqlite:penstock.db"},
      {"sqlite:penstock:a@b.db", "sqlite:penstock:a@b.db"},
      {"not a url", "not a url"},
      {"", ""},
      {"://", "://"},
  };
  for (const auto& row : table) EXPECT_EQ(log::redact_url(row.url), row.redacted) << row.url;
}

TEST(log_line, an_exception_in_text_has_its_traceback_indented_below) {
  log::capture logged(log::line_format::text);
  auto failing = [](std::string message) -> task<> {
    co_await yield();
    throw error(core_errc::bad_unit, std::move(message));
  };
  testing::simulation sim;
  try {
    sim.run(failing("5\nparsecs"));
  } catch (...) {
    log::exception(log::level::error, "parsing failed", std::current_exception(), {{"attempt", 2}});
  }
  std::string line = logged.lines().at(0);
  EXPECT_THAT(line, HasSubstr(R"( ERROR parsing failed attempt=2 error_code=core.bad_unit error="penstock::error )"
                              R"([core.bad_unit]: 5\nparsecs")"));
  EXPECT_THAT(line, HasSubstr("\n    Traceback (most recent await last):\n      File \""));
  for (std::size_t i = line.find('\n'); i != std::string::npos; i = line.find('\n', i + 1))
    EXPECT_EQ(line.substr(i + 1, 4), "    ");
}

TEST(log_line, an_exception_in_json_is_one_line) {
  log::capture logged(log::line_format::json);
  log::exception(log::level::warn, "failed", std::make_exception_ptr(std::runtime_error("disk\nfull")));
  std::string line = logged.lines().at(0);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  simdjson::dom::parser parser;
  simdjson::dom::element parsed = parser.parse(line);
  EXPECT_EQ(std::string_view(parsed["level"]), "warn");
  EXPECT_EQ(std::string_view(parsed["error"]), "std::runtime_error: disk\nfull");
  EXPECT_THAT(std::string(std::string_view(parsed["traceback"])), HasSubstr("disk\nfull"));
}

TEST(log_line, lines_of_a_request_carry_its_id) {
  log::capture logged(log::line_format::json);
  auto inner = []() -> task<> {
    co_await yield();
    log::info("inside");
    log::info("explicit", {{"request_id", "mine"}});
    log::info("traced", {{"trace_id", "mine"}});
  };
  auto main = [&]() -> task<> {
    task<> bound =
        current_request.bind(request_context("r1", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"), inner());
    co_await std::move(bound);
    log::info("outside");
  };
  testing::simulation sim;
  sim.run(main());
  EXPECT_THAT(logged.lines().at(0),
              EndsWith(R"("message":"inside","request_id":"r1","trace_id":"0af7651916cd43dd8448eb211c80319c"})"));
  EXPECT_THAT(logged.lines().at(1), EndsWith(R"("message":"explicit","request_id":"mine"})"));
  EXPECT_THAT(logged.lines().at(2), EndsWith(R"("message":"traced","trace_id":"mine","request_id":"r1"})"));
  EXPECT_THAT(logged.lines().at(3), Not(HasSubstr("request_id")));
}

TEST(log_level, lines_below_the_threshold_are_not_made) {
  log::capture logged(log::line_format::text, log::level::warn);
  log::debug("a");
  log::info("b");
  log::warn("c");
  log::error("d");
  log::exception(log::level::info, "e", std::make_exception_ptr(1));
  EXPECT_EQ(logged.lines().size(), 2U);
  log::set_level(log::level::off);
  log::error("f");
  EXPECT_EQ(logged.lines().size(), 2U);
}

TEST(log_level, names_are_read_in_any_case_and_wrong_ones_are_told) {
  EXPECT_EQ(log::parse_level("WARN"), log::level::warn);
  EXPECT_EQ(log::parse_level("warning"), log::level::warn);
  EXPECT_EQ(log::parse_format("Json"), log::line_format::json);
  EXPECT_EQ(error_code_of([] { log::parse_level("loud"); }),
            "observe.bad_log_level: 'loud' is no log level: use debug, info, warn, error or off");
  EXPECT_EQ(error_code_of([] { log::parse_format("xml"); }),
            "observe.bad_log_format: 'xml' is no log format: use text or json");
}

}  // namespace
}  // namespace penstock
