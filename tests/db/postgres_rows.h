#pragma once

// What tests of batches beside PostgreSQL's triggers and defaults share: a table `t (id, k)`, its rows, and what gives
// ids that are known from others.

#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace penstock::db {

using status = row_outcome::status;

inline const table_definition table{"t", "id", {{"k", column_type::integer}}, {}};
inline const table_definition keyed{"t", "id", {{"k", column_type::integer}}, {"k"}};

inline std::string trigger_function(const std::string& body) {
  return "CREATE FUNCTION pg_temp.judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + body + " RETURN NEW; END $$";
}

inline std::string judging(const std::string& relation) {
  return "CREATE TRIGGER judged BEFORE INSERT ON " + relation + " FOR EACH ROW EXECUTE FUNCTION pg_temp.judge()";
}

inline row_batch numbers(std::int64_t from, std::int64_t to) {
  row_batch rows(1);
  for (std::int64_t i = from; i < to; ++i) {
    rows.add_integer(i);
    rows.commit_row();
  }
  return rows;
}

// What a batch is refused with as a whole; nothing when its rows have their outcomes.
inline task<std::optional<db_errc>> batch_failure(connection& c, const table_definition& into, const row_batch& rows,
                                                  batch_report& report) {
  try {
    task<void> inserting = c.insert_batch(into, rows, report);
    co_await std::move(inserting);
  } catch (const database_error& e) {
    co_return e.errc();
  }
  co_return std::nullopt;
}

constexpr std::int64_t first_own_id = 1'000'000;

// Every row that is told to be stored is there under the id that was told, which is one of those that
// the table is to give; gives how many.
inline task<std::size_t> expect_stored_under_their_ids(connection& c, const row_batch& rows,
                                                       const batch_report& report) {
  std::size_t stored = 0;
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    if (report.rows.at(i).what != status::stored) continue;
    ++stored;
    EXPECT_GE(report.rows.at(i).id, first_own_id) << "row " << i;
    task<result> asking = c.query("SELECT k FROM t WHERE id = ?", parameters_of(report.rows.at(i).id));
    result found = co_await std::move(asking);
    EXPECT_EQ(found.rows.size(), 1u) << "row " << i << ", id " << report.rows.at(i).id;
    for (const auto& row : found.rows) EXPECT_EQ(row[0], value(rows.row(i)[0].integer)) << "row " << i;
  }
  co_return stored;
}

}  // namespace penstock::db
