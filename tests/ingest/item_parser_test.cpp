#include <penstock/ingest/error.h>
#include <penstock/ingest/item_parser.h>

#include <limits>
#include <string>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

using db::cell;
using db::column_type;

const db::timestamp noon = std::chrono::sys_days(std::chrono::year(2026) / 1 / 31) + std::chrono::hours(12);

// An item with its padding.
std::string_view padded(std::string& storage, std::string_view item) {
  storage.assign(item);
  storage.append(item_padding, '#');
  return std::string_view(storage).substr(0, item.size());
}

// A cell as a test writes it: "null", "1", "2.5", "'text'", "true", "@2026-01-31T12:00:00.000000Z".
std::string show(const cell& c) {
  switch (c.type) {
    case cell::kind::null:
      return "null";
    case cell::kind::integer:
      return std::to_string(c.integer);
    case cell::kind::real: {
      char text[40];
      std::snprintf(text, sizeof(text), "%.17g", c.real);
      return text;
    }
    case cell::kind::text:
      return "'" + std::string(c.text()) + "'";
    case cell::kind::boolean:
      return c.integer != 0 ? "true" : "false";
    case cell::kind::timestamp:
      return "@" + db::format_timestamp(db::timestamp(std::chrono::microseconds(c.integer)));
    case cell::kind::blob:
      break;
  }
  return "?";
}

// What comes of an item: its cells, or "code: message (pointer)" and, for a syntax error, "at offset".
class one_stream {
 public:
  explicit one_stream(stream_definition definition)
      : parser_(item_schema(std::move(definition))), rows_(parser_.schema().table().columns.size()) {}

  std::string operator()(std::string_view item) {
    std::size_t before = rows_.rows();
    std::size_t bytes = rows_.bytes();
    std::optional<item_error> wrong = parser_.add(padded(storage_, item), noon, rows_);
    if (wrong) {
      EXPECT_EQ(rows_.rows(), before);
      EXPECT_EQ(rows_.bytes(), bytes);
      std::string text = std::string(wrong->code) + ": " + wrong->message;
      if (!wrong->pointer.empty()) text += " (" + wrong->pointer + ")";
      if (wrong->offset) text += " at " + std::to_string(*wrong->offset);
      return text;
    }
    EXPECT_EQ(rows_.rows(), before + 1);
    std::string text;
    for (const cell& c : rows_.row(before)) text += (text.empty() ? "" : " ") + show(c);
    return text;
  }

 private:
  item_parser parser_;
  db::row_batch rows_;
  std::string storage_;
};

one_stream whole_items() { return one_stream({.name = "items", .table = "items"}); }

stream_column column(std::string name, std::string pointer, column_type type, bool required = false) {
  return {.name = std::move(name), .pointer = std::move(pointer), .type = type, .required = required};
}

one_stream mapped(std::vector<stream_column> columns) {
  return one_stream({.name = "s", .table = "t", .columns = std::move(columns)});
}

struct example {
  column_type type;
  const char* value;
  const char* result;
};

TEST(item_parser, a_value_fits_its_column_or_is_refused) {
  constexpr const char* no_time =
      "item.type: column 'c': expected a date-time with its offset from UTC, such as \"2026-01-31T09:30:00Z\" (RFC "
      "3339) (/c)";
  constexpr const char* no_such_time =
      "item.range: column 'c': there is no such date or time, or its year is not within 1 to 9999 (/c)";
  const std::vector<example> examples{
      {column_type::integer, "5", "5"},
      {column_type::integer, "-0", "0"},
      {column_type::integer, "9223372036854775807", "9223372036854775807"},
      {column_type::integer, "-9223372036854775808", "-9223372036854775808"},
      {column_type::integer, "9223372036854775808", "item.range: column 'c': the number is beyond 64 bits (/c)"},
      {column_type::integer, "-9223372036854775809", "item.range: column 'c': the number is beyond 64 bits (/c)"},
      {column_type::integer, "1e400", "item.range: column 'c': the number is beyond 64 bits (/c)"},
      {column_type::integer, "5.0", "5"},
      {column_type::integer, "1e3", "1000"},
      {column_type::integer, "-9007199254740991.0", "-9007199254740991"},
      {column_type::integer, "9007199254740993.0",
       "item.range: column 'c': an integer of 2^53 and beyond must be written without a decimal point or an exponent "
       "(/c)"},
      {column_type::integer, "1e17",
       "item.range: column 'c': an integer of 2^53 and beyond must be written without a decimal point or an exponent "
       "(/c)"},
      {column_type::integer, "2.5", "item.type: column 'c': expected an integer, got a number with a fraction (/c)"},
      {column_type::integer, "\"5\"", "item.type: column 'c': expected an integer, got a string (/c)"},
      {column_type::integer, "true", "item.type: column 'c': expected an integer, got true (/c)"},
      {column_type::integer, "null", "null"},
      {column_type::real, "2.5", "2.5"},
      {column_type::real, "7", "7"},
      {column_type::real, "18446744073709551615", "1.8446744073709552e+19"},
      {column_type::real, "100000000000000000000", "1e+20"},
      {column_type::real, "1e308", "1e+308"},
      {column_type::real, "1e-400", "0"},
      {column_type::real, "1e400", "item.range: column 'c': the number is beyond what a double holds (/c)"},
      {column_type::real, "\"2.5\"", "item.type: column 'c': expected a number, got a string (/c)"},
      {column_type::real, "[1]", "item.type: column 'c': expected a number, got an array (/c)"},
      {column_type::text, "\"caf\\u00e9 \\ud834\\udd1e\"", "'café 𝄞'"},
      {column_type::text, "\"\"", "''"},
      {column_type::text, "5", "item.type: column 'c': expected a string, got a number (/c)"},
      {column_type::text, "1e999", "item.type: column 'c': expected a string, got a number (/c)"},
      {column_type::text, "{}", "item.type: column 'c': expected a string, got an object (/c)"},
      {column_type::text, "false", "item.type: column 'c': expected a string, got false (/c)"},
      {column_type::boolean, "true", "true"},
      {column_type::boolean, "false", "false"},
      {column_type::boolean, "1", "item.type: column 'c': expected true or false, got a number (/c)"},
      {column_type::boolean, "99999999999999999999",
       "item.type: column 'c': expected true or false, got a number (/c)"},
      {column_type::boolean, "\"true\"", "item.type: column 'c': expected true or false, got a string (/c)"},
      {column_type::timestamp, "\"2026-01-31T09:30:00Z\"", "@2026-01-31T09:30:00.000000Z"},
      {column_type::timestamp, "\"2026-01-31t09:30:00.25+01:00\"", "@2026-01-31T08:30:00.250000Z"},
      {column_type::timestamp, "\"2026-01-31 09:30:00.1234567899z\"", "@2026-01-31T09:30:00.123456Z"},
      {column_type::timestamp, "\"2025-12-31T23:30:00-00:45\"", "@2026-01-01T00:15:00.000000Z"},
      {column_type::timestamp, "\"2016-12-31T23:59:60Z\"", "@2017-01-01T00:00:00.000000Z"},
      {column_type::timestamp, "\"2017-01-01T00:59:60+01:00\"", "@2017-01-01T00:00:00.000000Z"},
      {column_type::timestamp, "\"2016-12-31T22:59:60Z\"", no_such_time},
      {column_type::timestamp, "\"2024-02-29T00:00:00Z\"", "@2024-02-29T00:00:00.000000Z"},
      {column_type::timestamp, "\"2026-02-29T00:00:00Z\"", no_such_time},
      {column_type::timestamp, "\"2026-01-31T24:00:00Z\"", no_such_time},
      {column_type::timestamp, "\"2026-01-31T09:30:00+24:00\"", no_such_time},
      {column_type::timestamp, "\"0001-01-01T00:00:00Z\"", "@0001-01-01T00:00:00.000000Z"},
      {column_type::timestamp, "\"0001-01-01T00:00:00+00:01\"", no_such_time},
      {column_type::timestamp, "\"9999-12-31T23:59:59.999999Z\"", "@9999-12-31T23:59:59.999999Z"},
      {column_type::timestamp, "\"9999-12-31T23:59:60Z\"", no_such_time},
      {column_type::timestamp, "\"2026-01-31\"", no_time},
      {column_type::timestamp, "\"2026-01-31T09:30:00\"", no_time},
      {column_type::timestamp, "\"2026-01-31T09:30Z\"", no_time},
      {column_type::timestamp, "\"2026-01-31T09:30:00.Z\"", no_time},
      {column_type::timestamp, "\"2026-01-31T09:30:00Z \"", no_time},
      {column_type::timestamp, "\"2026-1-31T09:30:00Z\"", no_time},
      {column_type::timestamp, "\"\"", no_time},
      {column_type::timestamp, "1769853600000", "@2026-01-31T10:00:00.000000Z"},
      {column_type::timestamp, "-1", "@1969-12-31T23:59:59.999000Z"},
      {column_type::timestamp, "1769853600000.0", "@2026-01-31T10:00:00.000000Z"},
      {column_type::timestamp, "253402300800000", no_such_time},
      {column_type::timestamp, "-9223372036854775808", no_such_time},
      {column_type::timestamp, "1.5",
       "item.type: column 'c': expected an RFC 3339 date-time or whole milliseconds since 1970, got a number with a "
       "fraction (/c)"},
      {column_type::timestamp, "true",
       "item.type: column 'c': expected an RFC 3339 date-time or whole milliseconds since 1970, got true (/c)"},
      {column_type::json, "{\"a\": [1.10, 1e2]}", "'{\"a\": [1.10, 1e2]}'"},
      {column_type::json, "\"x\\n\"", "'\"x\\n\"'"},
      {column_type::json, "123456789012345678901234567890", "'123456789012345678901234567890'"},
      {column_type::json, "null", "null"},
  };
  for (const example& e : examples) {
    one_stream s = mapped({column("c", "/c", e.type)});
    EXPECT_EQ(s("{\"c\":" + std::string(e.value) + "}"), e.result) << name_of(e.type) << " of " << e.value;
    EXPECT_EQ(s("{\"x\": [{}], \"c\" : " + std::string(e.value) + " , \"y\":\"\"}"), e.result) << e.value;
  }
}

TEST(item_parser, pointers_reach_into_objects_and_arrays) {
  one_stream s = mapped({column("code", "/id", column_type::text), column("mag", "/properties/mag", column_type::real),
                         column("lon", "/geometry/coordinates/0", column_type::real),
                         column("depth", "/geometry/coordinates/2", column_type::real),
                         column("odd", "/a~1b/~0c", column_type::integer), column("none", "/", column_type::integer)});
  EXPECT_EQ(s(R"({"geometry":{"coordinates":[1.5,2,3.5,4]},"id":"x","properties":{"mag":7,"tz":null}})"),
            "'x' 7 1.5 3.5 null null");
  EXPECT_EQ(s(R"({"":8,"a/b":{"~c":9},"geometry":{"coordinates":{"0":5,"00":6,"2":[1]}}})"),
            "item.type: column 'depth': expected a number, got an array (/geometry/coordinates/2)");
  EXPECT_EQ(s(R"({"":8,"a\/b":{"\u007ec":9},"geometry":{"coordinates":{"0":5,"00":6}}})"), "null null 5 null 9 8");
  EXPECT_EQ(s(R"({"geometry":[],"properties":3,"id":"y"})"), "'y' null null null null null");
}

TEST(item_parser, the_whole_item_and_parts_of_it_are_stored_side_by_side) {
  one_stream s = mapped({column("all", "", column_type::json), column("inner", "/a", column_type::json),
                         column("n", "/a/n", column_type::integer), column("also", "/a/n", column_type::real)});
  EXPECT_EQ(s(" {\"a\": {\"n\":1} } "), "'{\"a\": {\"n\":1} }' '{\"n\":1}' 1 1");
}

TEST(item_parser, json_parts_keep_the_bytes_that_were_sent) {
  one_stream s = mapped({column("j", "/b\"\u00e9/1", column_type::json), column("k", "/k", column_type::json)});
  EXPECT_EQ(s(R"({"x":"}]\\\"{[","b\"\u00e9":[ {"y":"\""} , [ 1 , "]" ] ] , "k":-0.10E+5})"),
            R"('[ 1 , "]" ]' '-0.10E+5')");
  EXPECT_EQ(s("{\"b\\\"\u00e9\" : [0,true],\"k\" : \"\\\\\" }"), R"('true' '"\\"')");
}

TEST(item_parser, a_repeated_name_counts_with_its_last_value) {
  one_stream s = mapped({column("a", "/a", column_type::integer), column("b", "/o/b", column_type::integer),
                         column("c", "/o/c", column_type::json)});
  EXPECT_EQ(s(R"({"a":1,"a":2})"), "2 null null");
  EXPECT_EQ(s(R"({"a":"no","o":{"b":1,"c":1},"a":2,"o":{"c":2}})"), "2 null '2'");
  EXPECT_EQ(s(R"({"o":{"b":1,"c":1},"o":3})"), "null null null");
  EXPECT_EQ(s(R"({"o":{"b":1},"o":{"b":4,"b":5}})"), "null 5 null");
}

TEST(item_parser, a_missing_value_is_null_the_default_or_an_error) {
  std::vector<stream_column> columns{column("need", "/need", column_type::integer, true),
                                     column("may", "/may", column_type::text)};
  columns.push_back({.name = "t", .pointer = "/t", .type = column_type::text, .default_value = "\"x \\u00e9\""});
  columns.push_back({.name = "n", .pointer = "/n", .type = column_type::real, .default_value = "2"});
  columns.push_back({.name = "j", .pointer = "/j", .type = column_type::json, .default_value = "[]"});
  columns.push_back({.name = "w", .pointer = "/w", .type = column_type::timestamp, .default_value = "0"});
  columns.push_back({.name = "f", .pointer = "/f", .type = column_type::boolean, .default_value = "null"});
  one_stream s = mapped(columns);
  EXPECT_EQ(s(R"({"need":1})"), "1 null 'x é' 2 '[]' @1970-01-01T00:00:00.000000Z null");
  EXPECT_EQ(s(R"({"need":1,"t":null,"n":null,"j":null,"w":null})"),
            "1 null 'x é' 2 '[]' @1970-01-01T00:00:00.000000Z null");
  EXPECT_EQ(s(R"({"need":1,"t":"","n":0,"j":{},"w":1000,"f":true})"),
            "1 null '' 0 '{}' @1970-01-01T00:00:01.000000Z true");
  EXPECT_EQ(s(R"({"may":"x"})"), "item.missing: column 'need': a value is required, and there is none (/need)");
  EXPECT_EQ(s(R"({"need":null})"), "item.missing: column 'need': a value is required, got null (/need)");
}

TEST(item_parser, a_mapped_stream_takes_objects_only) {
  one_stream s = mapped({column("c", "/0", column_type::integer)});
  EXPECT_EQ(s("[1]"), "item.not_an_object: expected an object, got an array");
  EXPECT_EQ(s("1"), "item.not_an_object: expected an object, got a number");
  EXPECT_EQ(s("99999999999999999999"), "item.not_an_object: expected an object, got a number");
  EXPECT_EQ(s("\"a\""), "item.not_an_object: expected an object, got a string");
  EXPECT_EQ(s("null"), "item.not_an_object: expected an object, got null");
  EXPECT_EQ(s("true"), "item.not_an_object: expected an object, got true");
}

TEST(item_parser, numbers_of_any_size_may_be_where_no_column_takes_them) {
  one_stream s = mapped({column("a", "/a", column_type::integer), column("b", "/b", column_type::text),
                         column("r", "/r/0", column_type::real)});
  EXPECT_EQ(s(R"({"x":123456789012345678901234567890,"a":3,"b":"1e999","r":[1e19,-1e999],"y":{"z":[1e999]}})"),
            "3 '1e999' 1e+19");
  EXPECT_EQ(s(R"({"x":1e999,"a":3,"r":[-123456789012345678901]})"), "3 null -1.2345678901234568e+20");
  EXPECT_EQ(s(R"({"x":1e999,"a":03})"), "item.syntax: a number has no leading zeros at 16");
}

TEST(item_parser, whole_items_are_kept_as_they_were_sent) {
  one_stream s = whole_items();
  std::string at_noon = " @2026-01-31T12:00:00.000000Z";
  for (std::string item : {"{\"a\" : 1.10}", "[ ]", "1e999", "0", "-1.50", "\"x\\u0041\"", "true", "null",
                           "{\"n\":123456789012345678901234567890}"}) {
    EXPECT_EQ(s(item), "'" + item + "'" + at_noon);
    EXPECT_EQ(s(" \t\r\n" + item + "\r\n "), "'" + item + "'" + at_noon);
  }
}

TEST(item_parser, syntax_errors_name_the_byte) {
  one_stream whole = whole_items();
  one_stream with_columns = mapped({column("a", "/a", column_type::integer)});
  const std::vector<std::pair<std::string, std::string>> table{
      {R"({"a":1,})", "item.syntax: expected a name in double quotes after ',' at 7"},
      {R"({"a" 1})", "item.syntax: expected ':' after a name at 5"},
      {R"({"a":1 "b":2})", "item.syntax: expected ',' or '}' after a member at 7"},
      {R"({"a":[1 2]})", "item.syntax: expected ',' or ']' after an element at 8"},
      {R"({"a":[1,]})", "item.syntax: expected a value at 8"},
      {R"({"a":truth})", "item.syntax: expected true, false or null at 8"},
      {R"({"a":.5})", "item.syntax: expected a value at 5"},
      {R"({"a":-x})", "item.syntax: expected a digit at 6"},
      {R"({"a":5.})", "item.syntax: expected a digit after the decimal point at 7"},
      {R"({"a":5e})", "item.syntax: expected a digit in the exponent at 7"},
      {"{\"a\":\"x\ty\"}", "item.syntax: a control character in a string: it must be escaped at 7"},
      {R"({"a":"\x"})", "item.syntax: an unknown escape at 6"},
      {R"({"\x":1})", "item.syntax: an unknown escape at 2"},
      {R"({"a":"\u12g4"})", "item.syntax: expected four hexadecimal digits after \\u at 6"},
      {R"({"a":"\ud800"})", "item.syntax: half a surrogate pair at 6"},
      {R"({"a":"\udc00"})", "item.syntax: half a surrogate pair at 6"},
      {"{\"a\":\"x\xC3\"}", "item.syntax: invalid UTF-8 at 7"},
      {R"({"a":1} x)", "item.syntax: nothing but white space may follow the value at 8"},
      {R"({"a":1}})", "item.syntax: nothing but white space may follow the value at 7"},
      {R"({"a":"x)", "item.syntax: the text ends within a string at 7"},
      {R"({"a")", "item.syntax: expected ':' after a name at 4"},
      {R"({)", "item.syntax: expected a name in double quotes or '}' at 1"},
      {R"({'a':1})", "item.syntax: expected a name in double quotes or '}' at 1"},
      {"  ", "item.syntax: there is no value at 2"},
      {"", "item.syntax: there is no value at 0"},
  };
  for (const auto& [item, result] : table) {
    EXPECT_EQ(whole(item), result) << item;
    EXPECT_EQ(with_columns(item), result) << item;
  }
}

TEST(item_parser, items_nest_to_the_documented_depth) {
  auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  one_stream s = whole_items();
  EXPECT_TRUE(s(nested(most_item_depth)).starts_with("'[["));
  EXPECT_EQ(s(nested(most_item_depth + 1)), "item.too_large: arrays and objects are nested too deep at 1024");
  one_stream with_columns = mapped({column("a", "/a", column_type::json)});
  EXPECT_TRUE(with_columns("{\"a\":" + nested(most_item_depth - 1) + "}").starts_with("'[["));
  EXPECT_EQ(with_columns("{\"a\":" + nested(most_item_depth) + "}"),
            "item.too_large: arrays and objects are nested too deep at 1028");
}

TEST(item_parser, many_columns_in_any_order_find_their_values) {
  std::vector<stream_column> columns;
  std::string forward;
  std::string backward;
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    std::string n = std::to_string(i);
    columns.push_back(column("c" + n, "/f" + n, column_type::integer));
    forward += ",\"f" + n + "\":" + n + ",\"unmapped" + n + "\":0";
    backward = ",\"f" + n + "\":" + n + backward;
    expected += (i == 0 ? "" : " ") + n;
  }
  one_stream s = mapped(columns);
  EXPECT_EQ(s("{" + forward.substr(1) + "}"), expected);
  EXPECT_EQ(s("{" + backward.substr(1) + "}"), expected);
}

TEST(item_parser, a_refused_item_leaves_no_bytes_behind) {
  one_stream s = mapped({column("t", "/t", column_type::text), column("n", "/n", column_type::integer)});
  EXPECT_EQ(s(R"({"t":"text","n":"no"})"), "item.type: column 'n': expected an integer, got a string (/n)");
  EXPECT_EQ(s(R"({"t":"text","n":1})"), "'text' 1");
}

}  // namespace
}  // namespace penstock::ingest
