#include <penstock/ingest/item_parser.h>
#include <penstock/ingest/item_splitter.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

// A body's items as "line:offset text", a too large one with "…" at its end, and at last "! line:offset message".
using listing = std::vector<std::string>;

std::string position(std::uint64_t line, std::uint64_t offset) {
  return std::to_string(line) + ":" + std::to_string(offset) + " ";
}

// Each piece lies in memory of its own that is gone before the next one comes, so that a stale view is found.
listing split(body_format format, const std::vector<std::string_view>& pieces, std::size_t most_item_bytes = 1 << 20) {
  item_splitter splitter(format, most_item_bytes);
  listing found;
  auto drain = [&] {
    while (auto item = splitter.next()) {
      found.push_back(position(item->line, item->offset) + std::string(item->text) + (item->too_large ? "…" : ""));
      volatile char behind = item->text.data()[item->text.size() + item_padding - 1];
      (void)behind;
    }
  };
  for (std::string_view piece : pieces) {
    auto memory = std::make_unique<char[]>(piece.size());
    std::copy(piece.begin(), piece.end(), memory.get());
    splitter.feed({memory.get(), piece.size()});
    drain();
    std::fill_n(memory.get(), piece.size(), '?');
  }
  splitter.finish();
  drain();
  if (splitter.error())
    found.push_back("! " + position(splitter.error()->line, splitter.error()->offset) + splitter.error()->message);
  return found;
}

listing split(body_format format, std::string_view body, std::size_t most_item_bytes = 1 << 20) {
  return split(format, std::vector<std::string_view>{body}, most_item_bytes);
}

struct example {
  body_format format;
  std::string body;
  listing items;
};

const std::vector<example>& examples() {
  using enum body_format;
  static const std::vector<example> table{
      {json, "", {"! 1:0 the body is empty"}},
      {json, " \r\n\t", {"! 2:4 the body is empty"}},
      {json, "\xEF\xBB\xBF", {"! 1:3 the body is empty"}},
      {json, "\xEF\xBB\xBF{}", {"1:3 {}"}},
      {json, "\xEF\xBB\xBF [1]", {"1:5 1"}},
      {json, "\xEF\xBB{}", {"1:0 \xEF\xBB{}"}},
      {json, "\xEF", {"1:0 \xEF"}},
      {json, " \xEF\xBB\xBF{}", {"1:1 \xEF\xBB\xBF{}"}},
      {json, " \n {\"a\": 1} \n", {"2:3 {\"a\": 1}"}},
      {json, "{} {}", {"1:0 {} {}"}},
      {json, "1", {"1:0 1"}},
      {json, "truth ", {"1:0 truth"}},
      {json, "\f1", {"1:0 \f1"}},
      {json, "[]", {}},
      {json, " [ \n ] \n", {}},
      {json, "[1]", {"1:1 1"}},
      {json, "[1, truth ,3]", {"1:1 1", "1:4 truth", "1:11 3"}},
      {json, "[{\"a\":1},\n {\"a\":2}\n,{\"a\":3}]\n", {"1:1 {\"a\":1}", "2:11 {\"a\":2}", "3:20 {\"a\":3}"}},
      {json,
       R"(["a]\"b", "\\", "}", {"k[": "v\\\"]}"}, [[], {}, [{}]], "\u005d"])",
       {R"(1:1 "a]\"b")", R"(1:10 "\\")", R"(1:16 "}")", R"(1:21 {"k[": "v\\\"]}"})", "1:40 [[], {}, [{}]]",
        R"(1:56 "\u005d")"}},
      {json, "[\"\n\", 1]", {"1:1 \"\n\"", "2:6 1"}},
      {json, "[1 2]", {"1:1 1", "! 1:3 expected ',' or ']' after an element"}},
      {json, "[1,]", {"1:1 1", "! 1:3 expected an element after ','"}},
      {json, "[1,,2]", {"1:1 1", "! 1:3 expected an element after ','"}},
      {json, "[,1]", {"! 1:1 expected an element or ']' after '['"}},
      {json, "[}", {"! 1:1 expected an element or ']' after '['"}},
      {json, "[1:2]", {"1:1 1", "! 1:2 expected ',' or ']' after an element"}},
      {json, "[1\"a\"]", {"1:1 1", "! 1:2 expected ',' or ']' after an element"}},
      {json, "[\"a\"\"b\"]", {"1:1 \"a\"", "! 1:4 expected ',' or ']' after an element"}},
      {json, "[1]2", {"1:1 1", "! 1:3 nothing but white space may follow the array"}},
      {json, "[1]\n\n]", {"1:1 1", "! 3:5 nothing but white space may follow the array"}},
      {json, "[", {"! 1:1 the body ends within the array: expected ']'"}},
      {json, "[1", {"! 1:2 the body ends within an element of the array"}},
      {json, "[1,\n", {"1:1 1", "! 2:4 the body ends within the array: expected ']'"}},
      {json, "[{\"a\":1", {"! 1:7 the body ends within an element of the array"}},
      {json, "[1, {\"a\":[1}, 2]", {"1:1 1", "! 1:11 expected ']' where '}' closes an array"}},
      {json, "[1, {\"a\":1], 2]", {"1:1 1", "! 1:10 expected '}' where ']' closes an object"}},
      {json, "[\"abc, 1]", {"! 1:9 the body ends within an element of the array"}},
      {json, "[\"\\", {"! 1:3 the body ends within an element of the array"}},
      {ndjson, "", {}},
      {ndjson, "\n \r\n\t\n", {}},
      {ndjson, "\xEF\xBB\xBF", {}},
      {ndjson, "\xEF\xBB\xBF{}\n", {"1:3 {}"}},
      {ndjson, "\xEF\n{}\n", {"1:0 \xEF", "2:2 {}"}},
      {ndjson, "1", {"1:0 1"}},
      {ndjson,
       "{\"a\":1}\n{\"a\":2}\r\n\n  {\"a\":3} \t\r\n[4]",
       {"1:0 {\"a\":1}", "2:8 {\"a\":2}", "4:20 {\"a\":3}", "5:31 [4]"}},
      {ndjson, "{\"a\":\n1}\n", {"1:0 {\"a\":", "2:6 1}"}},
      {ndjson, "1 2\n\r3\r4\r\n", {"1:0 1 2", "2:5 3\r4"}},
  };
  return table;
}

TEST(item_splitter, cuts_bodies_into_items_and_says_where_they_are_malformed) {
  for (const example& e : examples()) EXPECT_EQ(split(e.format, e.body), e.items) << e.body;
}

TEST(item_splitter, finds_the_same_wherever_the_body_is_cut) {
  for (const example& e : examples()) {
    std::string_view body = e.body;
    for (std::size_t a = 0; a <= body.size(); ++a)
      for (std::size_t b = a; b <= body.size(); ++b)
        EXPECT_EQ(split(e.format, {body.substr(0, a), body.substr(a, b - a), body.substr(b)}), e.items)
            << body << " cut at " << a << " and " << b;
  }
}

TEST(item_splitter, finds_the_same_with_behind_the_items_more_than_their_padding) {
  for (const example& e : examples()) {
    bool may_go_on = e.format == body_format::ndjson || e.items.empty() || e.items.back()[0] != '!';
    if (!may_go_on) continue;
    std::string body = e.body + std::string(2 * item_padding, '\n');
    EXPECT_EQ(split(e.format, body), e.items) << e.body;
  }
}

// A body of many shapes of elements, some not valid.
std::string random_body(std::mt19937& random, body_format format) {
  auto one_of = [&](std::initializer_list<const char*> list) { return *(list.begin() + random() % list.size()); };
  std::string body = format == body_format::json ? one_of({"[", " [\n"}) : "";
  for (int i = 0; i < 40; ++i) {
    std::string string(random() % 100, 'x');
    for (char& c : string) c = static_cast<char>(' ' + random() % 90);
    std::replace_if(
        string.begin(), string.end(), [](char c) { return c == '"' || c == '\\'; }, '[');
    body += one_of({"1", "{}", "-2.5e3", "truth", "null", "[[], {\"]\": \"}\"}]", "\"\\\\\"", "{\"a\\\"\": [1, 2]}"});
    body += format == body_format::json ? one_of({",", " ,\n", ",  "}) : one_of({"\n", "\r\n", "\n\n", " \n"});
    body += "{\"" + string + "\":\"\\\"" + string + "\"}";
    body += format == body_format::json ? one_of({",", " ,\n", ",  "}) : one_of({"\n", "\r\n", "\n\n", " \n"});
  }
  if (format == body_format::json) body += one_of({"1]", "1]\n", "1] x", "]", "1"});
  return body;
}

TEST(item_splitter, finds_the_same_in_random_pieces) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    body_format format = round % 2 == 0 ? body_format::json : body_format::ndjson;
    std::string body = random_body(random, format);
    std::size_t most = round % 5 == 0 ? 60 : 1 << 20;
    listing whole = split(format, body, most);
    ASSERT_GT(whole.size(), 79u);
    std::vector<std::string_view> pieces;
    for (std::size_t at = 0; at < body.size();) {
      std::size_t size = random() % (round % 3 == 0 ? 5 : 400);
      pieces.push_back(std::string_view(body).substr(at, size));
      at += pieces.back().size();
    }
    EXPECT_EQ(split(format, pieces, most), whole) << body;
  }
}

TEST(item_splitter, gives_the_beginning_of_an_item_that_is_too_large_and_goes_on) {
  using enum body_format;
  const std::vector<example> table{
      {json,
       "[\"1234\",\"12345\",{\"a\":[1]},123456,1234567,2]",
       {"1:1 \"1234\"", "1:8 \"12345…", "1:16 {\"a\":[…", "1:26 123456", "1:33 123456…", "1:41 2"}},
      {json, "[[1,2,3}, 4]", {"1:1 [1,2,3…", "! 1:7 expected ']' where '}' closes an array"}},
      {json, "[[1,2,3", {"! 1:7 the body ends within an element of the array"}},
      {json, "[[1,2,3,", {"1:1 [1,2,3…", "! 1:8 the body ends within an element of the array"}},
      {json, " 123456  \n ", {"1:1 123456"}},
      {json, " 123456       7 8", {"1:1 123456…"}},
      {json, "1234567", {"1:0 123456…"}},
      {ndjson,
       "123456\n1234567\r\n  123456    \r\n12345        6\n1",
       {"1:0 123456", "2:7 123456…", "3:18 123456", "4:30 12345 …", "5:45 1"}},
      {ndjson, "1234567", {"1:0 123456…"}},
  };
  for (const example& e : table) {
    std::string_view body = e.body;
    EXPECT_EQ(split(e.format, body, 6), e.items) << body;
    for (std::size_t a = 0; a <= body.size(); ++a)
      for (std::size_t b = a; b <= body.size(); ++b)
        EXPECT_EQ(split(e.format, {body.substr(0, a), body.substr(a, b - a), body.substr(b)}, 6), e.items)
            << body << " cut at " << a << " and " << b;
  }
}

TEST(item_splitter, follows_brackets_through_deep_nesting) {
  std::string deep(300, '[');
  for (int i = 0; i < 300; ++i) deep += i % 2 == 0 ? "{\"a\":" : "[";
  deep += "1";
  for (int i = 299; i >= 0; --i) deep += i % 2 == 0 ? "}" : "]";
  deep += std::string(300, ']');
  EXPECT_EQ(split(body_format::json, "[" + deep + "," + deep + "]"),
            (listing{"1:1 " + deep, "1:" + std::to_string(deep.size() + 2) + " " + deep}));
  std::string crossed = deep;
  crossed[crossed.size() - 350] = crossed[crossed.size() - 350] == ']' ? '}' : ']';
  EXPECT_EQ(split(body_format::json, "[1," + crossed + "]").size(), 2u);
}

TEST(item_splitter, gives_up_a_body_that_nests_without_end) {
  std::string deepest = std::string(most_body_depth, '[') + std::string(most_body_depth, ']');
  EXPECT_EQ(split(body_format::json, "[" + deepest + ",1]").size(), 2u);
  const std::string endless(most_body_depth + 2, '[');
  const std::string deep = std::to_string(most_body_depth);
  const std::string end = "! 1:" + std::to_string(most_body_depth + 1) + " arrays and objects are nested more than " +
                          deep + " levels deep";
  EXPECT_EQ(split(body_format::json, endless, endless.size()), (listing{end}));
  EXPECT_EQ(split(body_format::json, endless, 4), (listing{"1:1 [[[[…", end}));
}

TEST(item_splitter, gives_items_in_place_while_their_padding_lies_in_the_piece) {
  std::string body = "[1, 22, {\"a\":3}";
  std::size_t end_of_last = body.size();
  body += std::string(item_padding - 1, ' ');
  item_splitter splitter(body_format::json);
  splitter.feed(body);
  EXPECT_EQ(splitter.next()->text.data(), body.data() + 1);
  EXPECT_EQ(splitter.next()->text.data(), body.data() + 4);
  std::optional<body_item> last = splitter.next();
  EXPECT_EQ(last->text, "{\"a\":3}");
  EXPECT_NE(last->text.data() + last->text.size(), body.data() + end_of_last);
}

TEST(item_splitter, knows_collections_from_single_items) {
  auto is_collection = [](body_format format, std::string_view body) {
    item_splitter splitter(format);
    splitter.feed(body);
    while (splitter.next()) {
    }
    return splitter.is_collection();
  };
  EXPECT_TRUE(is_collection(body_format::json, " [1]"));
  EXPECT_TRUE(is_collection(body_format::ndjson, "1"));
  EXPECT_FALSE(is_collection(body_format::json, "{}"));
  EXPECT_FALSE(is_collection(body_format::json, ""));
}

TEST(item_splitter, tells_what_it_holds_and_gives_it_back_between_items) {
  const std::string half(100'000, 'x');
  for (bool too_large : {false, true}) {
    item_splitter splitter(body_format::json, too_large ? 50'000 : 1'000'000);
    EXPECT_EQ(splitter.held_bytes(), 0u);
    splitter.feed("[[\"");
    EXPECT_FALSE(splitter.next());
    splitter.feed(half);
    EXPECT_EQ(splitter.next().has_value(), too_large);
    EXPECT_FALSE(splitter.next());
    EXPECT_GE(splitter.held_bytes(), too_large ? 50'000u : half.size());
    splitter.release();
    splitter.feed("\"],[1]");
    std::optional<body_item> item = splitter.next();
    if (!too_large) {
      ASSERT_TRUE(item);
      EXPECT_EQ(item->text.size(), half.size() + 4) << "an item under way was given back";
      item = splitter.next();
    }
    ASSERT_TRUE(item) << "where an item that is passed over ends was forgotten";
    EXPECT_EQ(item->text, "[1]");
    EXPECT_FALSE(splitter.next());
    splitter.release();
    EXPECT_EQ(splitter.held_bytes(), 0u);
    splitter.feed(",2]");
    item = splitter.next();
    ASSERT_TRUE(item);
    EXPECT_EQ(item->text, "2");
  }
}

}  // namespace
}  // namespace penstock::ingest
