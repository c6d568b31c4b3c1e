// Every file of ../shared/corpora/json, taken as a request's body: split into items, each of them parsed.

#include <penstock/ingest/item_parser.h>
#include <penstock/ingest/item_splitter.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

namespace fs = std::filesystem;

// What RFC 8259 leaves to the implementation: true where we accept. docs/json.md gives the reasons.
const std::map<std::string, bool>& choices() {
  static const std::map<std::string, bool> table{
      // Numbers may be of any size where an item is kept whole: what was sent is what is stored.
      {"i_number_double_huge_neg_exp", true},
      {"i_number_huge_exp", true},
      {"i_number_neg_int_huge_exp", true},
      {"i_number_pos_double_huge_exp", true},
      {"i_number_real_neg_overflow", true},
      {"i_number_real_pos_overflow", true},
      {"i_number_real_underflow", true},
      {"i_number_too_big_neg_int", true},
      {"i_number_too_big_pos_int", true},
      {"i_number_very_big_negative_int", true},
      // Half a surrogate pair is no character: it has no UTF-8.
      {"i_object_key_lone_2nd_surrogate", false},
      {"i_string_1st_surrogate_but_2nd_missing", false},
      {"i_string_1st_valid_surrogate_2nd_invalid", false},
      {"i_string_incomplete_surrogate_and_escape_valid", false},
      {"i_string_incomplete_surrogate_pair", false},
      {"i_string_incomplete_surrogates_escape_valid", false},
      {"i_string_invalid_lonely_surrogate", false},
      {"i_string_invalid_surrogate", false},
      {"i_string_inverted_surrogates_U+1D11E", false},
      {"i_string_lone_second_surrogate", false},
      // JSON text is UTF-8 (8.1), well formed (RFC 3629).
      {"i_string_UTF-16LE_with_BOM", false},
      {"i_string_UTF-8_invalid_sequence", false},
      {"i_string_UTF8_surrogate_U+D800", false},
      {"i_string_invalid_utf-8", false},
      {"i_string_iso_latin_1", false},
      {"i_string_lone_utf8_continuation_byte", false},
      {"i_string_not_in_unicode_range", false},
      {"i_string_overlong_sequence_2_bytes", false},
      {"i_string_overlong_sequence_6_bytes", false},
      {"i_string_overlong_sequence_6_bytes_null", false},
      {"i_string_truncated-utf-8", false},
      {"i_string_utf16BE_no_BOM", false},
      {"i_string_utf16LE_no_BOM", false},
      // Items nest up to 1,024 levels; a byte order mark at the body's start is skipped (8.1).
      {"i_structure_500_nested_arrays", true},
      {"i_structure_UTF-8_BOM_empty_object", true},
  };
  return table;
}

std::string content(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

struct verdict {
  bool accepted = true;
  std::string reason;
  bool has_position = false;
};

verdict judge(std::string_view body) {
  item_splitter split(body_format::json);
  item_parser parser(item_schema({.name = "items", .table = "items"}));
  db::row_batch rows(2);
  verdict v;
  auto drain = [&] {
    while (auto item = split.next()) {
      std::optional<item_error> wrong = parser.add(item->text, db::timestamp(), rows);
      if (!wrong || !v.accepted) continue;
      v = {false, wrong->message, wrong->offset.has_value() && *wrong->offset <= item->text.size()};
    }
  };
  split.feed(body);
  drain();
  split.finish();
  drain();
  if (split.error() && v.accepted) v = {false, split.error()->message, split.error()->offset <= body.size()};
  return v;
}

class json_corpus : public ::testing::Test {
 protected:
  static fs::path root() { return fs::path(PENSTOCK_SOURCE_DIR) / ".." / "shared" / "corpora" / "json"; }

  void SetUp() override {
    if (!fs::exists(root())) GTEST_SKIP() << "the corpus ../shared/corpora/json is not here: NOTHING WAS CHECKED";
    for (const auto& entry : fs::directory_iterator(root()))
      if (entry.path().extension() == ".json") files_[entry.path().stem().string()] = content(entry.path());
    ASSERT_GE(files_.size(), 318u);
  }

  std::map<std::string, std::string> files_;
};

TEST_F(json_corpus, what_must_be_accepted_is) {
  for (const auto& [name, body] : files_) {
    if (!name.starts_with("y_")) continue;
    verdict v = judge(body);
    EXPECT_TRUE(v.accepted) << name << ": " << v.reason;
  }
}

TEST_F(json_corpus, what_must_be_refused_is_with_the_position) {
  for (const auto& [name, body] : files_) {
    if (!name.starts_with("n_")) continue;
    verdict v = judge(body);
    EXPECT_FALSE(v.accepted) << name;
    EXPECT_TRUE(v.has_position) << name << ": " << v.reason;
  }
}

TEST_F(json_corpus, what_is_left_to_us_is_as_documented) {
  std::size_t found = 0;
  for (const auto& [name, body] : files_) {
    if (!name.starts_with("i_")) continue;
    ++found;
    auto choice = choices().find(name);
    ASSERT_NE(choice, choices().end()) << name << " has no row in the table";
    EXPECT_EQ(judge(body).accepted, choice->second) << name << ": " << judge(body).reason;
  }
  EXPECT_EQ(found, choices().size());
}

}  // namespace
}  // namespace penstock::ingest
