// What an item costs from a body's bytes to a batch's row: cutting alone, then parsing alone, then both.

#include <penstock/ingest/item_parser.h>
#include <penstock/ingest/item_splitter.h>

#include <string>
#include <vector>

#include <benchmark/benchmark.h>

namespace {

using namespace penstock;
using namespace penstock::ingest;

constexpr std::size_t items_in_body = 2'000;

// 90 bytes, 8 members.
std::string item_of(std::size_t i) {
  std::string n = std::to_string(100'000 + i);
  return R"({"id":)" + n + R"(,"c":"u)" + n + R"(","mag":5.1,"deep":1.5,"ok":true,"n":7,"w":)" +
         std::to_string(1'769'853'600'000 + i) + R"(,"to":"x"})";
}

// As the rows of flights-200k.json are.
std::string flight_of(std::size_t i) {
  return R"({"delay":)" + std::to_string(i % 180) + R"(,"distance":)" + std::to_string(200 + i % 2'500) +
         R"(,"time":0.0})";
}

std::string array_of(std::string (*item)(std::size_t)) {
  std::string body = "[";
  for (std::size_t i = 0; i < items_in_body; ++i) body += (i == 0 ? "" : ",") + item(i);
  return body + "]";
}

std::string lines_of(std::string (*item)(std::size_t)) {
  std::string body;
  for (std::size_t i = 0; i < items_in_body; ++i) body += item(i) + "\n";
  return body;
}

item_schema whole_items() { return item_schema({.name = "items", .table = "items"}); }

item_schema eight_columns() {
  using enum db::column_type;
  return item_schema({.name = "items",
                      .table = "items",
                      .columns = {{.name = "number", .pointer = "/id", .type = integer, .required = true},
                                  {.name = "code", .pointer = "/c", .type = text, .required = true},
                                  {.name = "mag", .pointer = "/mag", .type = real},
                                  {.name = "deep", .pointer = "/deep", .type = real},
                                  {.name = "ok", .pointer = "/ok", .type = boolean},
                                  {.name = "n", .pointer = "/n", .type = integer},
                                  {.name = "at", .pointer = "/w", .type = timestamp},
                                  {.name = "to", .pointer = "/to", .type = text}}});
}

item_schema one_json_column() {
  return item_schema({.name = "items",
                      .table = "items",
                      .columns = {{.name = "number", .pointer = "/id", .type = db::column_type::integer},
                                  {.name = "code", .pointer = "/c", .type = db::column_type::json}}});
}

void count(benchmark::State& state, std::size_t bytes, std::size_t items) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
  state.counters["per_item"] = benchmark::Counter(
      static_cast<double>(items), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void split(benchmark::State& state, body_format format, const std::string& body) {
  for (auto _ : state) {
    item_splitter splitter(format);
    splitter.feed(body);
    std::size_t found = 0;
    while (splitter.next()) ++found;
    splitter.finish();
    while (splitter.next()) ++found;
    if (found != items_in_body) state.SkipWithError("items went missing");
  }
  count(state, body.size(), items_in_body);
}

void parse(benchmark::State& state, const item_schema& schema) {
  std::vector<std::string> items;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < items_in_body; ++i) {
    items.push_back(item_of(i));
    bytes += items.back().size();
    items.back().reserve(items.back().size() + item_padding);
  }
  item_parser parser(schema);
  db::row_batch rows(schema.table().columns.size());
  for (auto _ : state) {
    rows.clear();
    for (const std::string& item : items)
      if (parser.add(item, db::timestamp(), rows)) state.SkipWithError("an item was refused");
  }
  count(state, bytes, items_in_body);
}

void split_and_parse(benchmark::State& state, const item_schema& schema) {
  std::string body = lines_of(item_of);
  item_parser parser(schema);
  db::row_batch rows(schema.table().columns.size());
  for (auto _ : state) {
    rows.clear();
    item_splitter splitter(body_format::ndjson);
    splitter.feed(body);
    while (auto item = splitter.next())
      if (parser.add(item->text, db::timestamp(), rows)) state.SkipWithError("an item was refused");
  }
  count(state, body.size(), items_in_body);
}

BENCHMARK_CAPTURE(split, array_of_flights, body_format::json, array_of(flight_of));
BENCHMARK_CAPTURE(split, lines_of_flights, body_format::ndjson, lines_of(flight_of));
BENCHMARK_CAPTURE(split, array_of_90_bytes, body_format::json, array_of(item_of));
BENCHMARK_CAPTURE(split, array_of_long_texts, body_format::json,
                  array_of(+[](std::size_t) { return "{\"text\":\"" + std::string(1'000, 'x') + "\"}"; }));
BENCHMARK_CAPTURE(parse, whole_90_bytes, whole_items());
BENCHMARK_CAPTURE(parse, eight_columns_90_bytes, eight_columns());
BENCHMARK_CAPTURE(parse, one_json_column_90_bytes, one_json_column());
BENCHMARK_CAPTURE(split_and_parse, whole_90_bytes, whole_items());
BENCHMARK_CAPTURE(split_and_parse, eight_columns_90_bytes, eight_columns());

}  // namespace

BENCHMARK_MAIN();
