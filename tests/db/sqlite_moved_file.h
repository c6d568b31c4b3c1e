#pragma once

#include "temporary_folder.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

// What tests of moved SQLite files make, and what they look for in each file afterwards.

namespace penstock::db {

inline task<db_errc> failure_of(task<void> work) {
  try {
    co_await std::move(work);
  } catch (const database_error& e) {
    co_return e.errc();
  }
  ADD_FAILURE() << "did not fail";
  co_return db_errc::other;
}

// Makes a table with rows 1 to `last`.
inline task<> fill(connection& c, std::string table, int last) {
  std::string make = "CREATE TABLE " + table + "(x INTEGER PRIMARY KEY, data TEXT DEFAULT 'of " + table + "')";
  co_await c.execute(make);
  std::string insert = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
                       std::to_string(last) + ") INSERT INTO " + table + "(x) SELECT i FROM n";
  co_await c.execute(insert);
}

// A whole and closed file with one table.
inline task<> make_file(std::string url, std::string table, int last) {
  std::unique_ptr<connection> c = co_await database(url).connect();
  task<> filling = fill(*c, table, last);
  co_await std::move(filling);
}

// That the file is sound and has exactly rows 1 to `last` in the table of this name, and no table else.
inline task<> expect_rows(std::string url, std::string table, int last) {
  std::unique_ptr<connection> c = co_await database(url).connect();
  result soundness = co_await c->query("PRAGMA integrity_check");
  EXPECT_EQ(std::get<std::string>(soundness.rows[0][0]), "ok") << url;
  result tables = co_await c->query("SELECT group_concat(name) FROM sqlite_schema");
  EXPECT_EQ(std::get<std::string>(tables.rows[0][0]), table) << url;
  result rows = co_await c->query("SELECT count(*), min(x), max(x), count(DISTINCT data) FROM " + table);
  EXPECT_EQ(rows.rows[0],
            (std::vector<value>{std::int64_t{last}, std::int64_t{1}, std::int64_t{last}, std::int64_t{1}}))
      << url;
}

inline task<> expect_lost(task<void> work) {
  task<db_errc> failing = failure_of(std::move(work));
  EXPECT_EQ(co_await std::move(failing), db_errc::connection_lost);
}

inline task<void> connect_to(database to) { co_await to.connect(); }

}  // namespace penstock::db
