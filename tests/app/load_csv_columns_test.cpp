// CSV cells as typed JSON, and headers that say the types.

#include "app/error.h"
#include "app/load/csv_cell.h"
#include "app/load/csv_columns.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace penstock::app::load {
namespace {

using db::column_type;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using strings = std::vector<std::string_view>;

std::string cell(std::string_view text, column_type type) {
  std::string body = "<";
  const char* expected = append_cell(text, type, body);
  if (expected != nullptr) {
    EXPECT_EQ(body, "<") << "a bad cell left something behind";
    return std::string("! ") + expected;
  }
  return body.substr(1);
}

TEST(load_csv_cell, integers_lose_what_json_does_not_allow) {
  EXPECT_EQ(cell("42", column_type::integer), "42");
  EXPECT_EQ(cell(" -7 ", column_type::integer), "-7");
  EXPECT_EQ(cell("+7", column_type::integer), "7");
  EXPECT_EQ(cell("007", column_type::integer), "7");
  EXPECT_EQ(cell("-000", column_type::integer), "-0");
  EXPECT_EQ(cell("123456789012345678901", column_type::integer), "123456789012345678901");
  for (const char* bad : {"1.0", "1e3", "abc", "-", "+", " ", "1 2", "0x10", "--1"})
    EXPECT_EQ(cell(bad, column_type::integer), "! a whole number") << bad;
}

TEST(load_csv_cell, reals_keep_their_digits) {
  EXPECT_EQ(cell("1.10", column_type::real), "1.10");
  EXPECT_EQ(cell("-2.5e-3", column_type::real), "-2.5e-3");
  EXPECT_EQ(cell(".5", column_type::real), "0.5");
  EXPECT_EQ(cell("5.", column_type::real), "5");
  EXPECT_EQ(cell("+1.25", column_type::real), "1.25");
  EXPECT_EQ(cell("01.5", column_type::real), "1.5");
  for (const char* bad : {"abc", "1,5", "nan", "inf", "-", "1.2.3", "1e", "+-1", "1e999."})
    EXPECT_EQ(cell(bad, column_type::real), "! a number") << bad;
}

TEST(load_csv_cell, booleans_have_several_spellings) {
  for (const char* yes : {"true", "T", "Yes", "1"}) EXPECT_EQ(cell(yes, column_type::boolean), "true") << yes;
  for (const char* no : {"FALSE", "f", "no", "0"}) EXPECT_EQ(cell(no, column_type::boolean), "false") << no;
  for (const char* bad : {"2", "yep", "on", "maybe not"})
    EXPECT_EQ(cell(bad, column_type::boolean), "! true or false") << bad;
}

TEST(load_csv_cell, text_is_escaped) {
  EXPECT_EQ(cell("a\"b\\c\nd\te\x01", column_type::text), R"("a\"b\\c\nd\u0009e\u0001")");
  EXPECT_EQ(cell("Zoë", column_type::text), "\"Zoë\"");
  EXPECT_EQ(cell("\xff", column_type::text), "! UTF-8");
}

TEST(load_csv_cell, timestamps_are_for_the_server_to_read) {
  EXPECT_EQ(cell("2001-01-13 12:26", column_type::timestamp), "\"2001-01-13 12:26\"");
  EXPECT_EQ(cell("1700000000", column_type::timestamp), "1700000000");
}

TEST(load_csv_cell, json_can_not_reach_into_its_neighbours) {
  EXPECT_EQ(cell("{\"a\":\n[1]}", column_type::json), "{\"a\": [1]}");
  EXPECT_EQ(cell("\"x\"", column_type::json), "\"x\"");
  EXPECT_EQ(cell("[123456789012345678901,1e999]", column_type::json), "[123456789012345678901,1e999]");
  EXPECT_EQ(cell("1,\"admin\":true", column_type::json), "! JSON");
  EXPECT_EQ(cell("{", column_type::json), "! JSON");
}

TEST(load_csv_columns, a_header_cell_may_carry_a_type) {
  strings header{"id:integer", "price:real", "name", "when:timestamp", "ok:boolean", "extra:json"};
  csv_columns columns(header, {});
  std::string body;
  strings fields{"1", "2.5", "x", "2020-01-01", "yes", "[1]"};
  EXPECT_EQ(columns.append(fields, body), std::nullopt);
  EXPECT_EQ(body, R"({"id":1,"price":2.5,"name":"x","when":"2020-01-01","ok":true,"extra":[1]})");
}

TEST(load_csv_columns, an_empty_cell_is_null_unless_it_is_text) {
  strings header{"id:integer", "name", "extra:json"};
  csv_columns columns(header, {});
  std::string body;
  strings fields{"", "", ""};
  EXPECT_EQ(columns.append(fields, body), std::nullopt);
  EXPECT_EQ(body, R"({"id":null,"name":"","extra":null})");
}

TEST(load_csv_columns, names_stay_as_they_are) {
  strings header{"a.b", "c/d", "e:f", "say \"hi\""};
  csv_columns columns(header, {});
  std::string body;
  strings fields{"1", "2", "3", "4"};
  EXPECT_EQ(columns.append(fields, body), std::nullopt);
  EXPECT_EQ(body, R"({"a.b":"1","c/d":"2","e:f":"3","say \"hi\"":"4"})");
}

TEST(load_csv_columns, types_on_the_command_line_go_before_the_header) {
  strings header{"id:integer", "n"};
  csv_columns columns(header, parse_column_types("id=text,n=integer"));
  std::string body;
  strings fields{"007", "7"};
  EXPECT_EQ(columns.append(fields, body), std::nullopt);
  EXPECT_EQ(body, R"({"id":"007","n":7})");
}

TEST(load_csv_columns, a_bad_cell_is_named_and_leaves_no_trace) {
  strings header{"id:integer", "a/b~c:real"};
  csv_columns columns(header, {});
  std::string body = "before";
  strings fields{"1", "abc"};
  std::optional<cell_problem> problem = columns.append(fields, body);
  ASSERT_TRUE(problem.has_value());
  EXPECT_EQ(problem->message, "column 'a/b~c': expected a number, got 'abc'");
  EXPECT_EQ(problem->pointer, "/a~1b~0c");
  EXPECT_EQ(body, "before");
}

std::string complaint(const std::function<void()>& call) {
  try {
    call();
  } catch (const error& e) {
    EXPECT_TRUE(e.is(app_errc::bad_usage));
    return e.message();
  }
  return "";
}

TEST(load_csv_columns, a_header_that_makes_no_sense_is_refused) {
  strings twice{"a", "b", "a:real"};
  EXPECT_THAT(complaint([&] { csv_columns(twice, {}); }), HasSubstr("'a' twice"));
  strings names{"price", "name"};
  EXPECT_THAT(complaint([&] { csv_columns(names, parse_column_types("prise=real")); }),
              HasSubstr("did you mean 'price'?"));
}

TEST(load_csv_columns, types_that_are_none_are_refused) {
  EXPECT_THAT(complaint([] { parse_column_types("id=interger"); }), HasSubstr("did you mean 'integer'?"));
  EXPECT_THAT(complaint([] { parse_column_types("id"); }), HasSubstr("COLUMN=TYPE"));
  EXPECT_THAT(complaint([] { parse_column_types("id=blob"); }), StartsWith("'id=blob': expected COLUMN=TYPE"));
}

}  // namespace
}  // namespace penstock::app::load
