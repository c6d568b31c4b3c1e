#include "conformance_fixture.h"

#include <string>
#include <vector>

// Cells of another kind than their column: stored as what they are, or refused; never changed.

namespace penstock::db {
namespace {

using status = row_outcome::status;

struct odd_cell {
  column_type column;
  value given;
  std::optional<value> stored;  // nothing where it is refused
};

const odd_cell odd_cells[] = {
    {column_type::integer, 3.5, std::nullopt},
    {column_type::integer, 2.0, std::int64_t{2}},
    {column_type::integer, 1e300, std::nullopt},
    {column_type::integer, std::string("3.5"), std::nullopt},
    {column_type::integer, std::string("7"), std::int64_t{7}},
    {column_type::integer, std::string(""), std::nullopt},
    {column_type::integer, timestamp(std::chrono::microseconds(1'700'000'000'123'456)), std::nullopt},
    {column_type::real, std::int64_t{3}, 3.0},
    {column_type::real, (std::int64_t{1} << 53) + 1, std::nullopt},
    {column_type::real, std::string("1.5"), 1.5},
    {column_type::real, timestamp(std::chrono::microseconds(1'700'000'000'123'456)), std::nullopt},
    {column_type::boolean, 0.5, std::nullopt},
    {column_type::boolean, std::int64_t{3}, std::nullopt},
    {column_type::timestamp, std::int64_t{20'260'102'030'405}, std::nullopt},
    {column_type::timestamp, 20'260'102'030'405.5, std::nullopt},
    {column_type::text, 3.5, std::string("3.5")},
    {column_type::text, std::int64_t{-3}, std::string("-3")},
};

void add(row_batch& rows, const value& v) {
  if (const auto* whole = std::get_if<std::int64_t>(&v)) rows.add_integer(*whole);
  if (const auto* real = std::get_if<double>(&v)) rows.add_real(*real);
  if (const auto* text = std::get_if<std::string>(&v)) rows.add_text(*text);
  if (const auto* time = std::get_if<timestamp>(&v)) rows.add_timestamp(*time);
  rows.commit_row();
}

class conformance_kinds : public conformance_test {};

TEST_P(conformance_kinds, are_stored_as_they_are_or_refused) {
  for (const odd_cell& odd : odd_cells)
    with_connection([&](database&, connection& c) -> task<> {
      const table_definition into{table_name(), "id", {{"v", odd.column}}, {}};
      const std::string table = quote_identifier(table_name());
      task<void> preparing = c.prepare_table(into);
      co_await std::move(preparing);
      for (int size : {1, 40, 1'200}) {
        SCOPED_TRACE(testing::PrintToString(&odd - odd_cells) + ", " + std::to_string(size) + " rows");
        row_batch rows(1);
        for (int i = 0; i < size; ++i) add(rows, odd.given);
        batch_report report;
        task<void> inserting = c.insert_batch(into, rows, report);
        co_await std::move(inserting);
        status expected = odd.stored ? status::stored : status::refused;
        for (const row_outcome& row : report.rows) EXPECT_EQ(row.what, expected);
        for (const row_refusal& refusal : report.refusals) EXPECT_EQ(refusal.code, code_name(db_errc::data));
        task<result> asking = c.query("SELECT v, count(*) FROM " + table + " GROUP BY v");
        result found = co_await std::move(asking);
        std::vector<value> there;
        for (const auto& row : found.rows) there.push_back(row[0]);
        EXPECT_EQ(there, odd.stored ? std::vector<value>{*odd.stored} : std::vector<value>());
        task<std::uint64_t> emptying = c.execute("DELETE FROM " + table);
        co_await std::move(emptying);
      }
    });
}

INSTANTIATE_TEST_SUITE_P(all, conformance_kinds, ::testing::ValuesIn(all_ways_to_insert), name_of_tested);

}  // namespace
}  // namespace penstock::db
