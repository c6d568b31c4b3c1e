// Any bytes as a body: it is split the same whole and in pieces, every item is judged alike by the parser, the
// diagnosis and simdjson, and a refused item leaves no row.

#include "ingest/json_diagnosis.h"
#include <penstock/ingest/item_parser.h>
#include <penstock/ingest/item_splitter.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <simdjson.h>

namespace {

using namespace penstock;
using namespace penstock::ingest;

void require(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "does not hold: " << what << '\n';
  std::abort();
}

using found_item = std::tuple<std::string, std::uint64_t, std::uint64_t, bool>;

struct found_items {
  std::vector<found_item> items;
  std::string error;

  bool operator==(const found_items&) const = default;
};

found_items split(body_format format, std::string_view body, std::size_t piece_size) {
  constexpr std::size_t most_item_bytes = 200;
  item_splitter splitter(format, most_item_bytes);
  found_items found;
  auto drain = [&] {
    while (auto item = splitter.next()) found.items.emplace_back(item->text, item->offset, item->line, item->too_large);
  };
  for (std::size_t at = 0; at < body.size(); at += piece_size) {
    std::string_view piece = body.substr(at, piece_size);
    std::unique_ptr<char[]> memory(new char[piece.size()]);  // exactly as large, so that reading beyond it shows
    std::memcpy(memory.get(), piece.data(), piece.size());
    splitter.feed({memory.get(), piece.size()});
    drain();
  }
  splitter.finish();
  drain();
  if (splitter.error())
    found.error = splitter.error()->message + std::to_string(splitter.error()->offset) + ":" +
                  std::to_string(splitter.error()->line);
  return found;
}

item_parser mapped_parser() {
  using enum db::column_type;
  return item_parser(item_schema({.name = "s",
                                  .table = "t",
                                  .columns = {{.name = "i", .pointer = "/a", .type = integer},
                                              {.name = "r", .pointer = "/b/0", .type = real},
                                              {.name = "t", .pointer = "/c/d", .type = text},
                                              {.name = "j", .pointer = "/b", .type = json},
                                              {.name = "w", .pointer = "/e", .type = timestamp}}}));
}

void check_item(std::string_view text) {
  static item_parser whole(item_schema({.name = "s", .table = "t"}));
  static item_parser mapped = mapped_parser();
  static db::row_batch whole_rows(2);
  static db::row_batch mapped_rows(5);
  static simdjson::dom::parser judge;
  whole_rows.clear();
  mapped_rows.clear();
  std::string padded(text);
  padded.reserve(text.size() + item_padding);

  std::optional<json_fault> fault = diagnose_json(text);
  simdjson::error_code verdict = judge.parse(padded).error();
  require(verdict == simdjson::NUMBER_ERROR || fault.has_value() == (verdict != simdjson::SUCCESS),
          "the diagnosis agrees with simdjson");
  std::optional<item_error> refused = whole.add(padded, db::timestamp(), whole_rows);
  require(refused.has_value() == fault.has_value(), "whole items are refused for faults alone");
  require(whole_rows.rows() == (refused ? 0u : 1u), "a refused item leaves no row");
  refused = mapped.add(padded, db::timestamp(), mapped_rows);
  require(refused.has_value() || !fault.has_value(), "mapped items are refused for each fault");
  require(mapped_rows.rows() == (refused ? 0u : 1u), "a refused item leaves no row");
  if (refused) return;
  db::cell json = mapped_rows.row(0)[3];
  require(json.type == db::cell::kind::null || !diagnose_json(json.text()), "a json part is JSON");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view body(reinterpret_cast<const char*>(data), size);
  check_item(body);
  for (body_format format : {body_format::json, body_format::ndjson}) {
    found_items whole = split(format, body, std::max<std::size_t>(size, 1));
    for (std::size_t piece_size : {std::size_t{1}, std::size_t{3}, std::size_t{70}})
      require(split(format, body, piece_size) == whole, "the same is found in pieces");
    for (const auto& [text, offset, line, too_large] : whole.items) {
      require(body.substr(offset, text.size()) == text, "an item lies where it says");
      check_item(text);
    }
  }
  return 0;
}
