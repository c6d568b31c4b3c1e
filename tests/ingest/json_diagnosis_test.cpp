#include <penstock/ingest/item_parser.h>
#include <penstock/ingest/json_diagnosis.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <simdjson.h>

namespace penstock::ingest {
namespace {

namespace fs = std::filesystem;

// True when the diagnosis and simdjson say the same of a text. They differ, as documented, in numbers beyond 64 bits or
// a double alone: the grammar has them.
::testing::AssertionResult agree(simdjson::dom::parser& parser, const std::string& text) {
  simdjson::padded_string padded(text);
  simdjson::error_code judged = parser.parse(padded).error();
  std::optional<json_fault> fault = diagnose_json(text);
  if (fault && fault->offset > text.size()) return ::testing::AssertionFailure() << "no offset in " << text;
  bool big_number = judged != simdjson::SUCCESS && !fault;  // the code for it depends on the version
  if (big_number) {
    std::size_t digits = 0;
    std::size_t most = 0;
    for (char c : text) most = std::max(most, digits = c >= '0' && c <= '9' ? digits + 1 : 0);
    if (most >= 19 || text.find_first_of("eE") != text.npos) return ::testing::AssertionSuccess();
  }
  if (fault.has_value() == (judged != simdjson::SUCCESS)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << text << "\nsimdjson: " << simdjson::error_message(judged)
                                       << "\ndiagnosis: " << (fault ? fault->message : "good");
}

std::vector<std::string> seeds() {
  std::vector<std::string> list{
      R"({"id":"us7000","properties":{"mag":5.1,"place":"13 km N of \"X\", Caf\u00e9","time":1769853600000,"tz":null},"geometry":{"type":"Point","coordinates":[-1.5e2,0,-0.25E+1]},"ok":[true,false,{}]})",
      "{\"\u00e9\u20ac\U0001D11E\":\"\\ud834\\udd1e \\b\\f\\n\\r\\t\\/\\\\\"}",
      "[[[],[1,[2,{\"a\":[]}]]],{},\"\",-0,0.0,1e1,9223372036854775807]",
      " \t\r\n\"x\" ",
      "-12.5e-3",
  };
  fs::path corpus = fs::path(PENSTOCK_SOURCE_DIR) / ".." / "shared" / "corpora" / "json";
  if (!fs::exists(corpus)) return list;
  for (const auto& entry : fs::directory_iterator(corpus)) {
    if (entry.path().extension() != ".json" || entry.file_size() > 10'000) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::stringstream all;
    all << in.rdbuf();
    list.push_back(all.str());
  }
  return list;
}

// One byte replaced, dropped, added or doubled, or the end cut off; bytes that matter to JSON more often than others.
void mutate(std::string& text, std::mt19937& random) {
  static constexpr std::string_view telling =
      "{}[]\",:\\u0123d8cDeE+-.tfn \t\n\x1F\x7F\x80\xBF\xC3\xA9\xE2\xED\xF0\xF4";
  if (text.empty()) return;
  std::size_t at = random() % text.size();
  char c = random() % 8 == 0 ? static_cast<char>(random()) : telling[random() % telling.size()];
  switch (random() % 5) {
    case 0:
      text[at] = c;
      break;
    case 1:
      text.erase(at, 1);
      break;
    case 2:
      text.insert(at, 1, c);
      break;
    case 3:
      text.insert(at, text.substr(random() % text.size(), random() % 8));
      break;
    default:
      text.resize(random() % 4 == 0 ? at : text.size());
      break;
  }
}

TEST(json_diagnosis, agrees_with_simdjson_on_the_seeds_and_all_their_beginnings) {
  simdjson::dom::parser parser;
  for (const std::string& seed : seeds()) {
    for (std::size_t size = 0; size <= seed.size(); ++size) ASSERT_TRUE(agree(parser, seed.substr(0, size)));
    ASSERT_TRUE(agree(parser, seed + "x"));
  }
}

TEST(json_diagnosis, agrees_with_simdjson_on_mutations) {
  simdjson::dom::parser parser;
  std::mt19937 random(11);
  std::vector<std::string> from = seeds();
  for (int round = 0; round < 60'000; ++round) {
    std::string text = from[random() % from.size()];
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes) mutate(text, random);
    ASSERT_TRUE(agree(parser, text)) << "round " << round;
  }
}

TEST(json_diagnosis, agrees_with_simdjson_on_every_two_bytes_in_a_string) {
  simdjson::dom::parser parser;
  for (int a = 0; a < 256; ++a)
    for (int b = 0; b < 256; ++b)
      ASSERT_TRUE(agree(parser, std::string("\"") + static_cast<char>(a) + static_cast<char>(b) + "\""));
}

TEST(json_diagnosis, agrees_with_simdjson_on_every_utf8_lead_and_second_byte) {
  simdjson::dom::parser parser;
  for (int a = 0xC0; a < 256; ++a)
    for (int b = 0; b < 256; ++b)
      for (const char* tail : {"", "\x80", "\xBF", "\x80\x80", "\xBF\xBF", "\x80x", "\x80\x80\x80"})
        ASSERT_TRUE(agree(parser, std::string("\"") + static_cast<char>(a) + static_cast<char>(b) + tail + "\""));
}

TEST(json_diagnosis, agrees_with_simdjson_on_every_code_unit_and_pairs_of_them) {
  simdjson::dom::parser parser;
  char text[32];
  for (unsigned unit = 0; unit < 0x10000; ++unit) {
    std::snprintf(text, sizeof(text), "\"\\u%04x\"", unit);
    ASSERT_TRUE(agree(parser, text));
  }
  for (unsigned first : {0x0041u, 0xD7FFu, 0xD800u, 0xDBFFu, 0xDC00u, 0xDFFFu, 0xE000u})
    for (unsigned second : {0x0041u, 0xD7FFu, 0xD800u, 0xDBFFu, 0xDC00u, 0xDFFFu, 0xE000u, 0xFFFFu}) {
      std::snprintf(text, sizeof(text), "\"\\u%04x\\u%04X\"", first, second);
      ASSERT_TRUE(agree(parser, text));
    }
}

TEST(json_diagnosis, agrees_with_simdjson_on_how_deep_items_nest) {
  simdjson::dom::parser parser;
  ASSERT_EQ(parser.allocate(1 << 16, most_item_depth), simdjson::SUCCESS);
  for (std::size_t depth = most_item_depth - 2; depth < most_item_depth + 3; ++depth) {
    std::string arrays = std::string(depth, '[') + std::string(depth, ']');
    EXPECT_TRUE(agree(parser, arrays)) << depth;
    std::string objects;
    for (std::size_t i = 1; i < depth; ++i) objects += "{\"a\":";
    objects += "{}" + std::string(depth - 1, '}');
    EXPECT_TRUE(agree(parser, objects)) << depth;
    std::optional<json_fault> fault = diagnose_json(arrays);
    EXPECT_EQ(fault.has_value() && fault->too_deep, depth > most_item_depth);
  }
}

}  // namespace
}  // namespace penstock::ingest
