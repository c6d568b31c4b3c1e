#include "allocation_counter.h"
#include "conformance_fixture.h"
#include "recycled_frames.h"

#include <algorithm>
#include <cstdint>

// In steady state a batch's memory is all there: what it still allocates does not grow with its rows. The server's
// client library counts its own, which is not looked at.

namespace penstock::db {
namespace {

constexpr std::size_t some_rows = 1'000;
constexpr std::size_t many_rows = 5'000;
// What goes to the server together has something of its own: a statement, a part of a trip.
constexpr std::size_t rows_with_an_allocation = 50;

class batch_allocation : public conformance_test {
 protected:
  static void fill(row_batch& rows, std::size_t count, std::int64_t first) {
    rows.clear();
    for (std::size_t i = 0; i < count; ++i) {
      rows.add_integer(first + static_cast<std::int64_t>(i));
      rows.add_text("a text that is longer than what fits into a string object itself");
      rows.add_real(0.5);
      rows.commit_row();
    }
  }

  // From the third time on, when the batch, the report and the session have grown; the least, since a session looks at
  // its table again now and then.
  static task<std::uint64_t> allocations_for(connection& c, const table_definition& table, std::size_t count) {
    row_batch rows(3);
    batch_report report;
    std::uint64_t least = UINT64_MAX;
    for (int round = 0; round < 5; ++round) {
      fill(rows, count, round * 100'000);
      std::uint64_t before = allocations;
      task<void> inserting = c.insert_batch(table, rows, report);
      co_await std::move(inserting);
      if (round >= 2) least = std::min(least, allocations - before);
      EXPECT_TRUE(report.refusals.empty());
    }
    task<std::uint64_t> clearing = c.execute("DELETE FROM " + quote_identifier(table.name));
    co_await std::move(clearing);
    co_return least;
  }

  void expect_none_a_row(std::vector<std::string> key) {
    if (!frames_are_recycled) GTEST_SKIP() << "under a sanitizer each part of a trip has a frame of the heap";
    with_connection([&](database&, connection& c) -> task<> {
      table_definition table{
          table_name(),
          "id",
          {{"number", column_type::integer, true}, {"name", column_type::text}, {"real", column_type::real}},
          key};
      task<void> preparing = c.prepare_table(table);
      co_await std::move(preparing);
      task<std::uint64_t> counting_some = allocations_for(c, table, some_rows);
      std::uint64_t some = co_await std::move(counting_some);
      task<std::uint64_t> counting_many = allocations_for(c, table, many_rows);
      std::uint64_t many = co_await std::move(counting_many);
      EXPECT_LE(many, some + (many_rows - some_rows) / rows_with_an_allocation) << some << " for " << some_rows;
      RecordProperty("some", static_cast<int>(some));
      RecordProperty("many", static_cast<int>(many));
    });
  }
};

TEST_P(batch_allocation, rows_cost_none_each) { expect_none_a_row({}); }

TEST_P(batch_allocation, rows_with_a_unique_key_cost_none_each) { expect_none_a_row({"number"}); }

INSTANTIATE_TEST_SUITE_P(all, batch_allocation, ::testing::ValuesIn(all_ways_to_insert), name_of_tested);

}  // namespace
}  // namespace penstock::db
