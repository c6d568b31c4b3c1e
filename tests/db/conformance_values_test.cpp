#include "conformance_fixture.h"
#include "round_trip.h"

#include <algorithm>
#include <limits>
#include <vector>

// Values at their limits come back as they went in, by parameters and by batches of several sizes.

namespace penstock::db {
namespace {

using namespace std::string_literals;

class conformance_values : public conformance_test {
 protected:
  // Booleans are whole numbers, and timestamps texts, where the database has no such type. SQLite keeps a real without
  // a fraction as a whole number, which has no negative zero.
  stored_form as_stored() const {
    return [sqlite = is_sqlite(), keeps_zeros = is_postgresql()](const value& v) -> value {
      if (const auto* truth = std::get_if<bool>(&v); truth != nullptr && sqlite)
        return static_cast<std::int64_t>(*truth);
      if (const auto* t = std::get_if<timestamp>(&v); t != nullptr && sqlite) return format_timestamp(*t);
      if (const auto* d = std::get_if<double>(&v); d != nullptr && *d == 0 && !keeps_zeros) return 0.0;
      return v;
    };
  }

  task<void> check_batch(connection& c, const table_definition& table, const std::vector<value>& values) {
    batch_report report;
    task<void> checking = expect_back_from_batch(c, table, values, as_stored(), report);
    co_await std::move(checking);
  }

  void expect_round_trip(column_type type, std::vector<value> values) {
    with_connection([&](database&, connection& c) -> task<> {
      table_definition table = table_of(table_name(), type);
      task<void> preparing = c.prepare_table(table);
      co_await std::move(preparing);
      for (std::size_t size : {std::size_t{1}, std::size_t{2}, values.size()}) {
        for (std::size_t first = 0; first + size <= values.size(); first += size) {
          std::vector<value> some(values.begin() + static_cast<std::ptrdiff_t>(first),
                                  values.begin() + static_cast<std::ptrdiff_t>(first + size));
          task<void> checking = check_batch(c, table, some);
          co_await std::move(checking);
        }
      }
      if (std::none_of(values.begin(), values.end(), is_large)) {
        std::vector<value> many;  // enough for the way that large batches go
        while (many.size() < 2'000) many.insert(many.end(), values.begin(), values.end());
        task<void> checking = check_batch(c, table, many);
        co_await std::move(checking);
      }
      task<void> checking = expect_back_from_parameters(c, table, values, as_stored());
      co_await std::move(checking);
    });
  }

  static bool is_large(const value& v) {
    const auto* text = std::get_if<std::string>(&v);
    return text != nullptr && text->size() > 100'000;
  }
};

TEST_P(conformance_values, texts) {
  expect_round_trip(column_type::text, {""s, "it's \"quoted\"; DROP TABLE t --"s, "naïve 東京 🚰 é"s, "'"s, "\\"s,
                                        "\\'"s, "\\N"s, "\\."s, "line\nbreak\ttab\rreturn"s, ",\"\\n"s, "\x1a\b"s,
                                        "NULL"s, "{a,\"b\"}"s, " spaces  "s, std::string(70'000, 'x'), value()});
}

TEST_P(conformance_values, texts_of_sixteen_mebibytes) {
  std::string large;
  while (large.size() < (std::size_t{16} << 20)) large += "0123456789 it's\t\\ \n東";
  expect_round_trip(column_type::text, {large, "small"s});
}

TEST_P(conformance_values, texts_with_zero_bytes_are_kept_or_refused_as_data) {
  with_connection([&](database&, connection& c) -> task<> {
    table_definition table = table_of(table_name(), column_type::text);
    task<void> preparing = c.prepare_table(table);
    co_await std::move(preparing);
    for (std::size_t neighbours : {0u, 5u, 2'000u}) {
      row_batch rows(1);
      add_row_of("nul\0inside"s, rows);
      for (std::size_t i = 0; i < neighbours; ++i) add_row_of("neighbour"s, rows);
      batch_report report;
      task<void> inserting = c.insert_batch(table, rows, report);
      co_await std::move(inserting);
      if (is_postgresql()) {
        EXPECT_EQ(report.rows.at(0).what, row_outcome::status::refused);
        EXPECT_EQ(report.refusals.at(0).code, "db.data");
        EXPECT_NE(report.refusals.at(0).message.find("zero byte"), std::string::npos);
      } else {
        EXPECT_EQ(report.rows.at(0).what, row_outcome::status::stored);
      }
      for (std::size_t i = 1; i < report.rows.size(); ++i) EXPECT_EQ(report.rows[i].what, row_outcome::status::stored);
    }
    if (is_postgresql()) {
      task<std::optional<db_errc>> failing = failure_of(
          c.execute("INSERT INTO " + quote_identifier(table.name) + "(v) VALUES (?)", parameters_of("nul\0in"s)));
      EXPECT_EQ(co_await std::move(failing), db_errc::data);
    } else {
      std::string where = " WHERE v = ?";
      task<result> asking =
          c.query("SELECT v FROM " + quote_identifier(table.name) + where, parameters_of("nul\0inside"s));
      result found = co_await std::move(asking);
      EXPECT_EQ(found.rows.size(), 3u);
    }
  });
}

TEST_P(conformance_values, integers) {
  using limits = std::numeric_limits<std::int64_t>;
  expect_round_trip(column_type::integer, {limits::min(), limits::max(), std::int64_t{0}, std::int64_t{-1}, value()});
}

TEST_P(conformance_values, reals) {
  using limits = std::numeric_limits<double>;
  std::vector<value> values = {0.0,           -0.5,
                               0.1,           1.0 / 3,
                               limits::max(), limits::lowest(),
                               limits::min(), limits::denorm_min(),
                               1e15 + 0.3,    9007199254740993.0,
                               123456789.0,   value()};
  // Some versions of MariaDB keep a zero's sign: see below.
  if (!is_mariadb()) values.push_back(-0.0);
  expect_round_trip(column_type::real, values);
}

TEST_P(conformance_values, a_negative_zero_comes_back_as_a_zero_of_either_sign) {
  with_connection([&](database&, connection& c) -> task<> {
    table_definition table = table_of(table_name(), column_type::real);
    task<void> preparing = c.prepare_table(table);
    co_await std::move(preparing);
    row_batch rows(1);
    for (int i = 0; i < 1'000; ++i) {
      rows.add_real(-0.0);
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    std::string name = quote_identifier(table.name);
    co_await c.execute("INSERT INTO " + name + " (v) VALUES (?)", parameters_of(-0.0));
    result found = co_await c.query("SELECT v FROM " + name);
    EXPECT_EQ(found.rows.size(), 1'001u);
    for (const auto& row : found.rows) EXPECT_EQ(std::get<double>(row.at(0)), 0.0);
  });
}

TEST_P(conformance_values, booleans) { expect_round_trip(column_type::boolean, {true, false, value()}); }

TEST_P(conformance_values, blobs) {
  blob all;
  for (int i = 0; i < 256; ++i) all.bytes.push_back(static_cast<std::byte>(i));
  expect_round_trip(column_type::blob, {blob{}, all, blob{{std::byte{0}, std::byte{0xff}}}, value()});
}

TEST_P(conformance_values, timestamps) {
  using namespace std::chrono;
  expect_round_trip(column_type::timestamp,
                    {timestamp(microseconds(0)), timestamp(microseconds(-1)),
                     timestamp(microseconds(1'767'225'600'000'001)), timestamp(sys_days(year(2000) / 1 / 1)),
                     timestamp(sys_days(year(9999) / 12 / 31)), timestamp(sys_days(year(1000) / 1 / 1)), value()});
}

TEST_P(conformance_values, json_comes_back_as_it_was_sent) {
  expect_round_trip(column_type::json, {"{\"b\": 1,  \"a\": [1.50, null, \"\\u00e9\\\\ \\\"q\\\"\"]}"s, "[]"s, "\"x\""s,
                                        "{\"a\":\"東京\\n\"}"s, value()});
}

TEST_P(conformance_values, a_statement_with_a_zero_byte_is_refused_as_a_whole) {
  with_connection([](database&, connection& c) -> task<> {
    using namespace std::string_literals;
    task<std::optional<db_errc>> failing = failure_of(c.query("SELECT 1 \0 + 1"s));
    EXPECT_EQ(co_await std::move(failing), db_errc::syntax);
  });
}

INSTANTIATE_TEST_SUITE_P(all, conformance_values, ::testing::ValuesIn(all_ways_to_insert), name_of_tested);

}  // namespace
}  // namespace penstock::db
