#include "allocation_counter.h"
#include <penstock/ingest/item_parser.h>
#include <penstock/ingest/item_splitter.h>

#include <string>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

// Reads a body of 10,000 items, and once more when all memory has been grown; gives the second time's allocations.
std::uint64_t allocations_for(const item_schema& schema, const std::string& item) {
  std::string body;
  for (int i = 0; i < 10'000; ++i) body += item + "\n";
  item_parser parser(schema);
  db::row_batch rows(schema.table().columns.size());
  std::uint64_t before = 0;
  for (int round = 0; round < 2; ++round) {
    item_splitter split(body_format::ndjson);
    before = allocations;
    split.feed(body);
    std::size_t in_batch = 0;
    while (auto found = split.next()) {
      EXPECT_FALSE(parser.add(found->text, db::timestamp(), rows).has_value());
      if (++in_batch % 1'000 == 0) rows.clear();
    }
    EXPECT_GT(in_batch, 9'990u);
  }
  return allocations - before;
}

// The last item of a piece is copied to memory of the splitter's own.
constexpr std::uint64_t per_body = 1;

TEST(item_allocation, items_kept_whole_allocate_nothing_in_steady_state) {
  item_schema schema({.name = "items", .table = "items"});
  EXPECT_LE(allocations_for(schema, R"({"id":12345,"name":"a longer string than fits a small buffer","tags":["x"]})"),
            per_body);
  EXPECT_LE(allocations_for(schema, "-12345.5e3"), per_body);
}

TEST(item_allocation, mapped_items_allocate_nothing_in_steady_state) {
  item_schema schema({.name = "items",
                      .table = "items",
                      .columns = {{.name = "a", .pointer = "/a", .type = db::column_type::integer},
                                  {.name = "b", .pointer = "/b", .type = db::column_type::real},
                                  {.name = "c", .pointer = "/c", .type = db::column_type::text},
                                  {.name = "d", .pointer = "/d", .type = db::column_type::timestamp},
                                  {.name = "e", .pointer = "/e/0", .type = db::column_type::json},
                                  {.name = "f", .pointer = "/f", .default_value = "\"none\""}}});
  EXPECT_LE(allocations_for(schema, R"({"a":1,"b":2.5,"c":"a longer string than fits a small buffer",)"
                                    R"("d":"2026-01-31T09:30:00Z","\u0065":[{"x":[1,2]}]})"),
            per_body);
}

}  // namespace
}  // namespace penstock::ingest
