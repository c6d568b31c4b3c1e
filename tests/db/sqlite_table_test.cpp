#include "sqlite_things.h"
#include "table_drift.h"

#include <string>

#include <gtest/gtest.h>

// What SQLite's tables must be so that nothing is taken for something else.

namespace penstock::db {
namespace {

// Who reads on from the last id that it knows would never see it.
TEST(sqlite, an_id_is_not_given_again_when_its_row_is_deleted) {
  with_memory_database([](connection& c) -> task<> {
    table_definition table = things();
    co_await c.prepare_table(table);
    row_batch rows(2);
    add(rows, "one", 1);
    add(rows, "two", 2);
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    co_await c.execute("DELETE FROM things");
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.rows.at(0).id, 3);
  });
}

TEST(sqlite, a_key_whose_collation_takes_different_texts_for_the_same_is_drift) {
  struct row {
    const char* made;
    bool fits;
  };
  for (const row& r : {row{"(name TEXT UNIQUE, size INTEGER)", true},
                       row{"(name TEXT COLLATE binary UNIQUE, size INTEGER COLLATE NOCASE)", true},
                       row{"(name TEXT COLLATE NOCASE UNIQUE, size INTEGER)", false},
                       row{"(name TEXT COLLATE RTRIM PRIMARY KEY, size INTEGER) WITHOUT ROWID", false},
                       row{"(name TEXT, size INTEGER); CREATE UNIQUE INDEX u ON things(name COLLATE NOCASE)", false}})
    with_memory_database([&](connection& c) -> task<> {
      std::string made = std::string("CREATE TABLE things") + r.made;
      std::size_t end = made.find(';');
      co_await c.execute(made.substr(0, end));
      if (end != std::string::npos) co_await c.execute(made.substr(end + 1));
      table_definition table = things();
      table.id_column.clear();
      task<std::string> preparing = drift_of(c, table);
      std::string difference = co_await std::move(preparing);
      EXPECT_EQ(difference.empty(), r.fits) << r.made << ": " << difference;
      EXPECT_EQ(difference.find("'name' of the unique key has the collation ") == std::string::npos, r.fits);
    });
}

TEST(sqlite, a_file_that_keeps_its_texts_in_utf_16_is_drift) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.execute("PRAGMA encoding = 'UTF-16le'");
    co_await c.execute("CREATE TABLE other(n INTEGER)");
    table_definition table = things();
    task<std::string> preparing = drift_of(c, table);
    std::string difference = co_await std::move(preparing);
    EXPECT_NE(difference.find("UTF-16le"), std::string::npos) << difference;
  });
}

TEST(sqlite, a_strict_column_that_would_refuse_values_is_drift) {
  struct row {
    const char* declared;
    column_type wanted;
    bool fits;
  };
  for (const row& r : {row{"ANY", column_type::text, true}, row{"any", column_type::integer, true},
                       row{"BLOB", column_type::text, false}, row{"BLOB", column_type::blob, true},
                       row{"INTEGER", column_type::real, false}, row{"INT", column_type::boolean, true},
                       row{"REAL", column_type::real, true}, row{"REAL", column_type::boolean, false},
                       row{"TEXT", column_type::timestamp, true}, row{"TEXT", column_type::json, true},
                       row{"TEXT", column_type::blob, false}})
    with_memory_database([&](connection& c) -> task<> {
      co_await c.execute(std::string("CREATE TABLE t(id INTEGER PRIMARY KEY, v ") + r.declared + ") STRICT");
      const table_definition table{"t", "", {{"v", r.wanted}}, {}};
      task<std::string> preparing = drift_of(c, table);
      std::string difference = co_await std::move(preparing);
      EXPECT_EQ(difference.empty(), r.fits) << r.declared << " for " << name_of(r.wanted) << ": " << difference;
    });
}

TEST(sqlite, a_table_that_refers_to_one_that_is_not_there_is_drift) {
  for (bool by_trigger : {false, true})
    with_memory_database([&](connection& c) -> task<> {
      const std::string reference = by_trigger ? "" : " REFERENCES missing(id)";
      co_await c.execute("CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT UNIQUE, size INTEGER" + reference +
                         ")");
      if (by_trigger)
        co_await c.execute("CREATE TRIGGER g AFTER INSERT ON things BEGIN INSERT INTO missing VALUES (new.size); END");
      table_definition table = things();
      task<std::string> preparing = drift_of(c, table);
      std::string difference = co_await std::move(preparing);
      EXPECT_NE(difference.find("missing"), std::string::npos) << difference;
    });
}

TEST(sqlite, a_generated_column_is_to_be_left_out) {
  with_memory_database([](connection& c) -> task<> {
    for (const char* kept : {"STORED", "VIRTUAL"}) {
      std::string making = std::string("CREATE TABLE things(name TEXT, size INTEGER NOT NULL AS (1) ") + kept + ")";
      co_await c.execute(making);
      const table_definition filled{"things", "", {{"name", column_type::text}, {"size", column_type::integer}}, {}};
      const table_definition left_out{"things", "", {{"name", column_type::text}}, {}};
      std::string difference = co_await drift_of(c, filled);
      EXPECT_NE(difference.find("column 'size' is generated: leave it out"), std::string::npos);
      EXPECT_EQ(co_await drift_of(c, left_out), "");
      co_await c.execute("DROP TABLE things");
    }
  });
}

}  // namespace
}  // namespace penstock::db
