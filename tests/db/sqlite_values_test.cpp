#include "memory_database.h"
#include "round_trip.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/db/row_mapping.h>

#include <charconv>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

// Values at their limits come back as they went in, by a batch and by parameters.

namespace penstock::db {
namespace {

// What SQLite gives for a value: it has no booleans, and timestamps are text.
value as_stored(const value& v) {
  if (auto* truth = std::get_if<bool>(&v)) return static_cast<std::int64_t>(*truth);
  if (auto* t = std::get_if<timestamp>(&v)) return format_timestamp(*t);
  return v;
}

void expect_round_trip(column_type type, std::vector<value> values) {
  with_memory_database([&](connection& c) -> task<> {
    table_definition table = table_of("t", type);
    co_await c.prepare_table(table);
    batch_report report;
    co_await expect_back_from_batch(c, table, values, as_stored, report);
    co_await expect_back_from_parameters(c, table, values, as_stored);
  });
}

TEST(sqlite_values, texts) {
  using namespace std::string_literals;
  expect_round_trip(column_type::text,
                    {""s, "it's \"quoted\"; DROP TABLE t --"s, "nul\0inside"s, "\0"s, "naïve 東京 🚰 é"s, "'"s, "\\"s,
                     "line\nbreak\ttab"s, std::string(1 << 20, 'x'), "\xff\xfe not UTF-8"s, value()});
}

TEST(sqlite_values, integers) {
  using limits = std::numeric_limits<std::int64_t>;
  expect_round_trip(column_type::integer, {limits::min(), limits::max(), std::int64_t{0}, std::int64_t{-1}, value()});
}

TEST(sqlite_values, a_whole_number_above_the_largest_integer_is_refused_and_no_other) {
  EXPECT_EQ(to_value(std::uint64_t{INT64_MAX}), value(std::int64_t{INT64_MAX}));
  EXPECT_EQ(to_value(std::uint8_t{255}), value(std::int64_t{255}));
  EXPECT_EQ(to_value(INT64_MIN), value(std::int64_t{INT64_MIN}));
  for (std::uint64_t n : {std::uint64_t{1} << 63, UINT64_MAX}) {
    try {
      static_cast<void>(parameters_of(n));
      ADD_FAILURE() << n << " was taken";
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::data);
      EXPECT_NE(e.message().find(std::to_string(n)), std::string::npos);
    }
  }
}

TEST(sqlite_values, reals) {
  using limits = std::numeric_limits<double>;
  expect_round_trip(column_type::real, {0.0, -0.5, 0.1, limits::max(), limits::lowest(), limits::min(),
                                        limits::denorm_min(), limits::infinity(), 1e15 + 0.3, 9007199254740993.0});
}

TEST(sqlite_values, not_a_number_becomes_null) {
  with_memory_database([](connection& c) -> task<> {
    result r = co_await c.query("SELECT ?", parameters_of(std::nan("")));
    EXPECT_TRUE(std::holds_alternative<std::monostate>(r.rows[0][0]));
  });
}

// SQLite's own text of a number has fifteen digits.
TEST(sqlite_values, reals_in_texts_keep_all_their_digits) {
  for (column_type type : {column_type::text, column_type::json}) {
    with_memory_database([&](connection& c) -> task<> {
      table_definition table = table_of("t", type);
      co_await c.prepare_table(table);
      row_batch rows(1);
      for (double real : {0.30000000000000004, -5e-324, 9007199254740993.0, 1e300, 2.5}) {
        rows.add_real(real);
        rows.commit_row();
      }
      batch_report report;
      co_await c.insert_batch(table, rows, report);
      result r = co_await c.query("SELECT v FROM t ORDER BY id");
      for (std::size_t i = 0; i < rows.rows(); ++i) {
        const auto& text = std::get<std::string>(r.rows.at(i).at(0));
        double back = 0;
        std::from_chars(text.data(), text.data() + text.size(), back);
        EXPECT_EQ(back, rows.row(i)[0].real) << text;
      }
    });
  }
}

TEST(sqlite_values, booleans_and_blobs) {
  expect_round_trip(column_type::boolean, {true, false, value()});
  expect_round_trip(column_type::blob, {blob{}, blob{{std::byte{0}, std::byte{0xff}}}, value()});
}

TEST(sqlite_values, timestamps) {
  using namespace std::chrono;
  expect_round_trip(column_type::timestamp,
                    {timestamp(microseconds(0)), timestamp(microseconds(-1)),
                     timestamp(microseconds(1'767'225'600'000'001)), timestamp(sys_days(year(9999) / 12 / 31)),
                     timestamp(sys_days(year(0) / 1 / 1)), timestamp::min(), timestamp::max()});
}

TEST(sqlite_values, timestamps_become_timestamps_in_a_struct) {
  struct event {
    timestamp at;
    std::optional<timestamp> ended;
    timestamp noticed;
  };
  with_memory_database([](connection& c) -> task<> {
    timestamp at(std::chrono::microseconds(1'767'225'600'000'001));
    result r =
        co_await c.query("SELECT ?, NULL, datetime('2026-01-31T09:30:00Z')", parameters_of(at));  // SQLite's own form
    std::vector<event> events = rows_as<event>(r);
    EXPECT_EQ(events.at(0).at, at);
    EXPECT_EQ(events.at(0).ended, std::nullopt);
    EXPECT_EQ(format_timestamp(events.at(0).noticed), "2026-01-31T09:30:00.000000Z");
  });
}

TEST(sqlite_values, timestamps_are_written_as_rfc_3339) {
  using namespace std::chrono;
  EXPECT_EQ(format_timestamp(timestamp(microseconds(0))), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(format_timestamp(timestamp(microseconds(-1))), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(format_timestamp(sys_days(year(2024) / 2 / 29) + hours(23) + minutes(5) + seconds(9) + microseconds(70)),
            "2024-02-29T23:05:09.000070Z");
  EXPECT_EQ(format_timestamp(sys_days(year(9999) / 12 / 31)), "9999-12-31T00:00:00.000000Z");
}

TEST(sqlite_values, timestamps_of_all_years_are_written_and_read) {
  using namespace std::chrono;
  constexpr days era(146'097);  // 400 years
  struct row {
    timestamp at;
    const char* written;
  };
  for (const row& r :
       {row{timestamp::max(), "294247-01-10T04:00:54.775807Z"}, row{timestamp::min(), "-290308-12-21T19:59:05.224192Z"},
        row{sys_days(year(2000) / 2 / 29) + 100 * era, "42000-02-29T00:00:00.000000Z"},
        row{sys_days(year(1970) / 1 / 1) + 77 * era - microseconds(1), "32769-12-31T23:59:59.999999Z"},
        row{sys_days(year(2000) / 12 / 31) - 100 * era, "-38000-12-31T00:00:00.000000Z"},
        row{sys_days(year(2000) / 1 / 1) - 5 * era - microseconds(1), "-1-12-31T23:59:59.999999Z"}}) {
    EXPECT_EQ(format_timestamp(r.at), r.written);
    EXPECT_EQ(parse_timestamp(r.written), r.at) << r.written;
  }
  for (const char* beyond :
       {"294247-01-10T04:00:54.775808Z", "294247-01-11T00:00:00Z", "-290308-12-21T19:59:05.224191Z",
        "-290308-12-20T23:59:59Z", "999999-12-31T00:00:00Z", "-999999-01-01T00:00:00Z"})
    EXPECT_EQ(parse_timestamp(beyond), std::nullopt) << beyond;
}

TEST(sqlite_values, timestamps_of_far_years_are_stored_as_such) {
  with_memory_database([](connection& c) -> task<> {
    table_definition table = table_of("t", column_type::timestamp);
    co_await c.prepare_table(table);
    row_batch rows(1);
    rows.add_timestamp(timestamp::max());
    rows.commit_row();
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    co_await c.execute("INSERT INTO t(v) VALUES (?)", parameters_of(timestamp::min()));
    result found = co_await c.query("SELECT v FROM t ORDER BY id");
    EXPECT_EQ(found.rows.at(0).at(0), value(std::string("294247-01-10T04:00:54.775807Z")));
    EXPECT_EQ(found.rows.at(1).at(0), value(std::string("-290308-12-21T19:59:05.224192Z")));
  });
}

TEST(sqlite_values, a_query_that_is_asked_again_has_the_columns_that_the_table_has_now) {
  with_memory_database([](connection& c) -> task<> {
    struct step {
      std::vector<std::string> change;
      std::vector<std::string> columns;
      std::size_t values;
    };
    for (const step& s : {step{{"CREATE TABLE t(a INTEGER, b INTEGER)", "INSERT INTO t VALUES (1, 2)"}, {"a", "b"}, 2},
                          step{{"ALTER TABLE t RENAME COLUMN a TO z"}, {"z", "b"}, 2},
                          step{{"ALTER TABLE t ADD COLUMN c INTEGER"}, {"z", "b", "c"}, 3},
                          step{{"DROP TABLE t", "CREATE TABLE t(q INTEGER)", "INSERT INTO t VALUES (7)"}, {"q"}, 1},
                          step{{"DELETE FROM t", "ALTER TABLE t RENAME COLUMN q TO r"}, {"r"}, 0}}) {
      for (const std::string& sql : s.change) co_await c.execute(sql);
      result found = co_await c.query("SELECT * FROM t");
      EXPECT_EQ(found.columns, s.columns) << s.change.back();
      EXPECT_EQ(found.rows.empty() ? 0 : found.rows[0].size(), s.values) << s.change.back();
    }
  });
}

TEST(sqlite_values, a_wrong_number_of_parameters_is_refused) {
  with_memory_database([](connection& c) -> task<> {
    bool refused = false;
    try {
      co_await c.query("SELECT ?, ?", parameters_of(true));
    } catch (const database_error& e) {
      refused = e.errc() == db_errc::syntax;
    }
    EXPECT_TRUE(refused);
  });
}

TEST(sqlite_values, a_second_statement_is_refused_and_not_dropped_in_silence) {
  with_memory_database([](connection& c) -> task<> {
    bool refused = false;
    try {
      co_await c.execute("CREATE TABLE a(x); CREATE TABLE b(x)");
    } catch (const database_error& e) {
      refused = e.errc() == db_errc::syntax;
    }
    EXPECT_TRUE(refused);
    result found = co_await c.query("SELECT name FROM sqlite_schema");
    EXPECT_TRUE(found.rows.empty());
    co_await c.execute("CREATE TABLE a(x); -- a comment may follow\n ");
  });
}

TEST(sqlite_values, a_large_result_is_read_in_pages_by_key) {
  const std::vector<std::size_t> expected{1000, 1000, 500};
  with_memory_database([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    co_await c.execute(
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2500) INSERT INTO t SELECT i FROM "
        "n");
    std::int64_t after = 0;
    std::vector<std::size_t> sizes;
    for (;;) {
      result page = co_await c.query("SELECT id FROM t WHERE id > ? ORDER BY id LIMIT 1000", parameters_of(after));
      if (page.rows.empty()) break;
      sizes.push_back(page.rows.size());
      after = std::get<std::int64_t>(page.rows.back()[0]);
    }
    EXPECT_EQ(sizes, expected);
  });
}

}  // namespace
}  // namespace penstock::db
