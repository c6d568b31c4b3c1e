#include "memory_database.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// SQLite is given many rows a statement. What becomes of each must be what it would be by itself.

namespace penstock::db {
namespace {

const table_definition numbers{"t", "id", {{"n", column_type::integer, false}}, {}};
const table_definition keyed{"t", "id", {{"n", column_type::integer, false}}, {"n"}};

row_batch rows_of(const std::vector<std::int64_t>& list) {
  row_batch rows(1);
  for (std::int64_t n : list) {
    rows.add_integer(n);
    rows.commit_row();
  }
  return rows;
}

std::vector<std::int64_t> counted(std::int64_t from, std::int64_t to) {
  std::vector<std::int64_t> list;
  for (std::int64_t n = from; n < to; ++n) list.push_back(n);
  return list;
}

// Each row is stored under the id that was told, or not at all.
task<void> expect_told_as_stored(connection& c, const std::vector<std::int64_t>& given, const batch_report& report) {
  result found = co_await c.query("SELECT id, n FROM t ORDER BY id");
  std::size_t stored = 0;
  for (std::size_t r = 0; r < given.size(); ++r) {
    if (report.rows[r].what != row_outcome::status::stored) continue;
    bool there = false;
    for (const auto& row : found.rows) there |= row[0] == value(report.rows[r].id) && row[1] == value(given[r]);
    EXPECT_TRUE(there) << "row " << r << ", " << given[r] << ", as " << report.rows[r].id;
    ++stored;
  }
  EXPECT_EQ(found.rows.size(), stored);
}

TEST(sqlite_groups, a_row_that_is_refused_is_refused_alone_wherever_it_stands) {
  for (std::size_t size : {1, 7, 8, 31, 32, 33, 75})
    for (std::size_t bad : {std::size_t{0}, size / 2, size - 1})
      with_memory_database([&](connection& c) -> task<> {
        co_await c.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER CHECK (n >= 0))");
        std::vector<std::int64_t> given = counted(1, static_cast<std::int64_t>(size) + 1);
        given[bad] = -1;
        batch_report report;
        row_batch rows = rows_of(given);
        co_await c.insert_batch(numbers, rows, report);
        for (std::size_t r = 0; r < size; ++r)
          EXPECT_EQ(report.rows[r].what, r == bad ? row_outcome::status::refused : row_outcome::status::stored) << r;
        EXPECT_EQ(report.refusals.size(), 1u);
        EXPECT_EQ(report.refusals.at(0).message, "CHECK constraint failed: n >= 0");
        co_await expect_told_as_stored(c, given, report);
      });
}

TEST(sqlite_groups, repeats_within_a_group_and_of_earlier_batches_are_duplicates) {
  with_memory_database([&](connection& c) -> task<> {
    co_await c.prepare_table(keyed);
    std::vector<std::int64_t> given = counted(0, 200);
    for (int place : {3, 40, 41, 150, 199}) given[static_cast<std::size_t>(place)] = 0;
    batch_report report;
    row_batch rows = rows_of(given);
    co_await c.insert_batch(keyed, rows, report);
    for (std::size_t r = 0; r < given.size(); ++r)
      EXPECT_EQ(report.rows[r].what,
                given[r] == 0 && r > 0 ? row_outcome::status::duplicate : row_outcome::status::stored)
          << r;
    co_await expect_told_as_stored(c, given, report);
    co_await c.insert_batch(keyed, rows, report);
    for (const row_outcome& row : report.rows) EXPECT_EQ(row.what, row_outcome::status::duplicate);
  });
}

TEST(sqlite_groups, a_batch_of_bad_rows_alone_is_told_row_by_row) {
  with_memory_database([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER CHECK (n % 3 <> 0))");
    std::vector<std::int64_t> given = counted(0, 1000);
    batch_report report;
    row_batch rows = rows_of(given);
    co_await c.insert_batch(numbers, rows, report);
    for (std::size_t r = 0; r < given.size(); ++r)
      EXPECT_EQ(report.rows[r].what == row_outcome::status::refused, given[r] % 3 == 0) << r;
    co_await expect_told_as_stored(c, given, report);
  });
}

TEST(sqlite_groups, a_value_that_a_column_cannot_keep_is_refused_alone) {
  const table_definition reals{"t", "id", {{"n", column_type::real, false}}, {}};
  with_memory_database([&](connection& c) -> task<> {
    co_await c.prepare_table(reals);
    std::vector<std::int64_t> given = counted(0, 40);
    given[20] = (std::int64_t{1} << 53) + 1;  // no double
    batch_report report;
    row_batch rows = rows_of(given);
    co_await c.insert_batch(reals, rows, report);
    for (std::size_t r = 0; r < given.size(); ++r)
      EXPECT_EQ(report.rows[r].what == row_outcome::status::refused, r == 20) << r;
    EXPECT_EQ(report.refusals.at(0).code, "db.data");
  });
}

// SQLite itself undoes such a statement in part only: it sees no constraint that could fail.
TEST(sqlite_groups, a_value_of_the_wrong_type_in_a_strict_table_leaves_no_row_twice) {
  const table_definition reals{"t", "id", {{"n", column_type::real, false}}, {}};
  with_memory_database([&](connection& c) -> task<> {
    co_await c.prepare_table(numbers);
    row_batch rows(1);
    for (int r = 0; r < 40; ++r) {
      rows.add_real(r == 20 ? 1.5 : r);
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(reals, rows, report);
    result found = co_await c.query("SELECT count(*), count(DISTINCT n), max(id) FROM t");
    EXPECT_EQ(found.rows.at(0), (std::vector<value>{std::int64_t{39}, std::int64_t{39}, std::int64_t{39}}));
    for (std::size_t r = 0; r < 40; ++r) EXPECT_EQ(report.rows[r].what == row_outcome::status::refused, r == 20) << r;
    EXPECT_EQ(report.rows[0].id, 1);
  });
}

TEST(sqlite_groups, a_key_whose_index_is_gone_stores_no_repeats) {
  with_memory_database([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)");
    co_await c.execute("CREATE UNIQUE INDEX one ON t(n)");
    row_batch rows = rows_of(counted(0, 40));
    batch_report report;
    co_await c.insert_batch(keyed, rows, report);
    co_await c.execute("DROP INDEX one");
    std::string said;
    try {
      co_await c.insert_batch(keyed, rows, report);
    } catch (const database_error& e) {
      said = e.what();
    }
    EXPECT_NE(said.find("ON CONFLICT clause does not match"), std::string::npos) << said;
    result found = co_await c.query("SELECT count(*) FROM t");
    EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{40}));
  });
}

TEST(sqlite_groups, what_a_trigger_of_the_session_leaves_behind_is_undone) {
  for (const char* says : {"RAISE(ABORT, 'no')", "RAISE(FAIL, 'no')"})
    with_memory_database([&](connection& c) -> task<> {
      co_await c.prepare_table(numbers);
      co_await c.execute("CREATE TEMP TRIGGER g BEFORE INSERT ON t WHEN new.n = 20 BEGIN SELECT " + std::string(says) +
                         "; END");
      std::vector<std::int64_t> given = counted(0, 40);
      batch_report report;
      row_batch rows = rows_of(given);
      co_await c.insert_batch(numbers, rows, report);
      for (std::size_t r = 0; r < given.size(); ++r)
        EXPECT_EQ(report.rows[r].what == row_outcome::status::refused, r == 20) << says << ", row " << r;
      co_await expect_told_as_stored(c, given, report);
    });
}

TEST(sqlite_groups, ids_are_told_where_they_are_drawn_at_random) {
  for (std::int64_t highest : {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::max() - 10})
    with_memory_database([&](connection& c) -> task<> {
      co_await c.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER NOT NULL)");
      parameters values = parameters_of(highest, -1);
      co_await c.execute("INSERT INTO t(id, n) VALUES (?, ?)", values);
      std::vector<std::int64_t> given = counted(0, 40);
      batch_report report;
      row_batch rows = rows_of(given);
      co_await c.insert_batch(numbers, rows, report);
      co_await c.execute("DELETE FROM t WHERE n < 0");
      co_await expect_told_as_stored(c, given, report);
    });
}

TEST(sqlite_groups, ids_are_told_of_a_virtual_table_too) {
  const table_definition texts{"T", "id", {{"v", column_type::text, false}}, {}};
  with_memory_database([&](connection& c) -> task<> {
    co_await c.execute("CREATE VIRTUAL TABLE t USING fts5(v)");
    row_batch rows(1);
    for (int r = 0; r < 40; ++r) {
      rows.add_text("word" + std::to_string(r));
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(texts, rows, report);
    for (int r : {0, 7, 39}) {
      parameters word = parameters_of("word" + std::to_string(r));
      result found = co_await c.query("SELECT rowid FROM t WHERE t MATCH ?", word);
      EXPECT_EQ(found.rows.at(0).at(0), value(report.rows.at(static_cast<std::size_t>(r)).id)) << r;
    }
  });
}

TEST(sqlite_groups, rows_of_a_table_without_rowid_go_in) {
  with_memory_database([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INTEGER PRIMARY KEY) WITHOUT ROWID");
    std::vector<std::int64_t> given = counted(0, 40);
    given[20] = 3;
    batch_report report;
    row_batch rows = rows_of(given);
    table_definition without_id = numbers;
    without_id.id_column = "";
    co_await c.insert_batch(without_id, rows, report);
    for (std::size_t r = 0; r < given.size(); ++r)
      EXPECT_EQ(report.rows[r].what == row_outcome::status::refused, r == 20) << r;
    result found = co_await c.query("SELECT count(*) FROM t");
    EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{39}));
  });
}

TEST(sqlite_groups, what_the_table_says_of_conflicts_counts_for_nothing) {
  for (const char* says : {"IGNORE", "REPLACE", "FAIL", "ROLLBACK"})
    with_memory_database([&](connection& c) -> task<> {
      co_await c.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER UNIQUE ON CONFLICT " + std::string(says) +
                         ")");
      std::vector<std::int64_t> given = counted(0, 64);
      given[10] = given[5];
      batch_report report;
      row_batch rows = rows_of(given);
      co_await c.insert_batch(numbers, rows, report);
      for (std::size_t r = 0; r < given.size(); ++r)
        EXPECT_EQ(report.rows[r].what == row_outcome::status::refused, r == 10) << says << ", row " << r;
      co_await expect_told_as_stored(c, given, report);
    });
}

TEST(sqlite_groups, rows_of_a_thousand_columns_and_more_go_in_whole) {
  table_definition wide{"t", "id", {}, {}};
  for (int i = 0; i < 1'500; ++i) wide.columns.push_back({"c" + std::to_string(i), column_type::timestamp, false});
  with_memory_database([&](connection& c) -> task<> {
    co_await c.prepare_table(wide);
    row_batch rows(wide.columns.size());
    for (int r = 0; r < 50; ++r) {
      for (int i = 0; i < 1'500; ++i) rows.add_timestamp(timestamp(std::chrono::microseconds(r * 10'000 + i)));
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(wide, rows, report);
    result found = co_await c.query("SELECT c0, c1499 FROM t ORDER BY id");
    EXPECT_EQ(found.rows.size(), 50u);
    EXPECT_EQ(found.rows.at(49).at(0), value(std::string("1970-01-01T00:00:00.490000Z")));
    EXPECT_EQ(found.rows.at(49).at(1), value(std::string("1970-01-01T00:00:00.491499Z")));
  });
}

}  // namespace
}  // namespace penstock::db
