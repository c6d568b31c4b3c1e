// Rows and fields of CSV (RFC 4180), and what a misplaced quote costs.

#include "app/load/csv_splitter.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace penstock::app::load {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct seen_row {
  std::uint64_t line;
  std::vector<std::string> fields;
  std::string problem;
  std::string text;
  bool operator==(const seen_row&) const = default;
};

// Every piece lies in memory of its own and is gone before the next is fed.
std::vector<seen_row> split(std::string_view file, std::size_t piece_bytes, std::size_t most_row_bytes = 1000,
                            char delimiter = ',') {
  csv_splitter splitter(delimiter, most_row_bytes);
  std::vector<seen_row> rows;
  auto take_all = [&] {
    while (const csv_row* row = splitter.next())
      rows.push_back({row->line, {row->fields.begin(), row->fields.end()}, row->problem, std::string(row->text)});
  };
  for (std::size_t at = 0; at < file.size(); at += piece_bytes) {
    std::string piece(file.substr(at, piece_bytes));
    splitter.feed(piece);
    piece.assign(piece.size(), '#');
    take_all();
  }
  splitter.finish();
  take_all();
  return rows;
}

std::vector<std::vector<std::string>> fields_of(std::string_view file) {
  std::vector<std::vector<std::string>> fields;
  for (seen_row& row : split(file, file.size())) fields.push_back(std::move(row.fields));
  return fields;
}

TEST(load_csv_splitter, quotes_hold_delimiters_line_breaks_and_doubled_quotes) {
  EXPECT_THAT(fields_of("a,\"b,\"\"c\"\"\nd\",e\n\"\",\"\"\"\"\n"),
              ElementsAre(ElementsAre("a", "b,\"c\"\nd", "e"), ElementsAre("", "\"")));
}

TEST(load_csv_splitter, lines_end_in_lf_or_crlf_and_the_last_may_not) {
  EXPECT_THAT(fields_of("a,b\r\nc,\"d\"\r\ne,f"),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d"), ElementsAre("e", "f")));
  EXPECT_THAT(fields_of("a,\"d\""), ElementsAre(ElementsAre("a", "d")));
  EXPECT_THAT(fields_of("a,\"d\"\r"), ElementsAre(ElementsAre("a", "d")));
}

TEST(load_csv_splitter, a_cr_alone_ends_a_line_outside_quotes) {
  std::vector<seen_row> rows = split("a,b\r\"1\r2\r\n3\",\"d\"\r\r5\"6,7\r\ne,f\r", 100);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_THAT(rows[0].fields, ElementsAre("a", "b"));
  EXPECT_THAT(rows[1].fields, ElementsAre("1\r2\r\n3", "d"));
  EXPECT_EQ(rows[2].text, "5\"6,7");
  EXPECT_EQ(rows[2].line, 6u);
  EXPECT_THAT(rows[3].fields, ElementsAre("e", "f"));
  EXPECT_EQ(rows[3].line, 7u);
}

TEST(load_csv_splitter, empty_fields_count) {
  EXPECT_THAT(fields_of("a,,\n,\n"), ElementsAre(ElementsAre("a", "", ""), ElementsAre("", "")));
  EXPECT_THAT(fields_of("a,"), ElementsAre(ElementsAre("a", "")));
}

TEST(load_csv_splitter, blank_lines_are_skipped_and_counted) {
  std::vector<seen_row> rows = split("a\n\n\r\nb\n", 100);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].line, 4u);
}

TEST(load_csv_splitter, a_row_begins_on_the_line_of_its_first_field) {
  std::vector<seen_row> rows = split("a,\"1\n2\n3\"\nb,4\n", 100);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].line, 1u);
  EXPECT_EQ(rows[1].line, 4u);
}

TEST(load_csv_splitter, a_misplaced_quote_costs_one_line) {
  struct {
    const char* line;
    const char* why;
  } bad[] = {{"a\"b,c", "does not begin with one"},
             {"\"a\"b,c", "behind a closing quote"},
             {"\"a,c", "a quote"},
             {"\"a\" ,c", "behind a closing quote"}};
  for (const auto& b : bad) {
    std::vector<seen_row> rows = split("1,2\n" + std::string(b.line) + "\n3,4\n5,6\n", 1000);
    ASSERT_EQ(rows.size(), 4u) << b.line;
    EXPECT_EQ(rows[1].text, b.line);
    EXPECT_EQ(rows[1].line, 2u);
    EXPECT_THAT(rows[1].problem, HasSubstr(b.why));
    EXPECT_THAT(rows[3].fields, ElementsAre("5", "6")) << b.line;
    EXPECT_EQ(rows[3].line, 4u) << b.line;
  }
}

TEST(load_csv_splitter, an_unclosed_quote_does_not_swallow_the_quotes_behind_it) {
  std::vector<seen_row> rows = split("1,\"x\n2,\"y\"\n3,\"z\"\n", 1000);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_NE(rows[0].problem, "");
  EXPECT_THAT(rows[1].fields, ElementsAre("2", "y"));
  EXPECT_THAT(rows[2].fields, ElementsAre("3", "z"));
}

TEST(load_csv_splitter, a_row_beyond_its_bound_costs_one_line) {
  for (std::string end : {"\n", "\r\n", "\r"}) {
    std::string file = "1,2" + end + "\"" + std::string(30, 'x') + end + std::string(500, 'y') + end + "3,4" + end;
    for (std::size_t piece : {1u, 7u, 1000u}) {
      std::vector<seen_row> rows = split(file, piece, 100);
      ASSERT_EQ(rows.size(), 4u) << piece;
      EXPECT_EQ(rows[1].text, "\"" + std::string(30, 'x'));
      EXPECT_EQ(rows[2].line, 3u);
      EXPECT_NE(rows[2].problem, "");
      EXPECT_THAT(rows[3].fields, ElementsAre("3", "4")) << piece;
      EXPECT_EQ(rows[3].line, 4u);
    }
  }
}

TEST(load_csv_splitter, where_pieces_end_makes_no_difference) {
  std::string file =
      "a,b\r\n\"1,\"\"2\"\"\r\n3\",4\n\n5\"6,7\n\"8\"9\r\n\"10\",\"\"\r\n14\r\r\n15\"16\r\"17\r\n18\"\r11,\"never "
      "closed\n12,13\n";
  std::vector<seen_row> whole = split(file, file.size());
  EXPECT_EQ(whole.size(), 10u);
  for (std::size_t piece = 1; piece < file.size(); ++piece) EXPECT_EQ(split(file, piece), whole) << piece;
}

TEST(load_csv_splitter, the_delimiter_is_a_choice) {
  std::vector<seen_row> rows = split("a,b\tc\n", 100, 1000, '\t');
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_THAT(rows[0].fields, ElementsAre("a,b", "c"));
}

}  // namespace
}  // namespace penstock::app::load
