#include "memory_database.h"
#include "table_drift.h"
#include <penstock/db/transaction.h>

#include <string>

#include <gtest/gtest.h>

// What SQLite's tables, and its transactions, must be so that nothing is taken for something else.

namespace penstock::db {
namespace {

table_definition things() {
  return {"things", "id", {{"name", column_type::text, true}, {"size", column_type::integer, false}}, {"name"}};
}

void add(row_batch& rows, std::string_view name, std::int64_t size) {
  rows.add_text(name);
  rows.add_integer(size);
  rows.commit_row();
}

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

TEST(sqlite, a_uri_of_sqlites_own_is_refused_with_what_to_write) {
  std::string told;
  try {
    database("sqlite:file:items.db");
  } catch (const database_error& e) {
    EXPECT_EQ(e.errc(), db_errc::bad_url);
    told = e.message();
  }
  EXPECT_NE(told.find("write sqlite:items.db"), std::string::npos) << told;
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

// What comes behind a statement for which SQLite has rolled the transaction back would be stored by itself.
TEST(sqlite, a_transaction_that_was_rolled_back_in_its_midst_stores_nothing_more) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE account(name TEXT PRIMARY KEY, sum INTEGER)");
    co_await c.execute("INSERT INTO account VALUES ('ann', 100), ('bob', 0)");
    auto body = [](connection& inside) -> task<> {
      co_await inside.execute("UPDATE account SET sum = 70 WHERE name = 'ann'");
      bool failed = false;
      try {
        co_await inside.execute("INSERT OR ROLLBACK INTO account VALUES ('ann', 1)");
      } catch (const database_error&) {
        failed = true;
      }
      EXPECT_TRUE(failed);
      EXPECT_EQ(inside.state(), session_state::dirty);
      co_await inside.execute("UPDATE account SET sum = 30 WHERE name = 'bob'");
    };
    std::string told;
    try {
      task<void> moving = transaction(c, body);
      co_await std::move(moving);
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::constraint);
      told = e.message();
    }
    EXPECT_NE(told.find("the transaction was rolled back: "), std::string::npos) << told;
    EXPECT_EQ(c.state(), session_state::clean);
    result sums = co_await c.query("SELECT sum FROM account ORDER BY name");
    EXPECT_EQ(sums.rows.at(0).at(0), value(std::int64_t{100}));
    EXPECT_EQ(sums.rows.at(1).at(0), value(std::int64_t{0}));
  });
}

// As a text that ends it does, which is the body's own doing.
TEST(sqlite, a_session_whose_transaction_was_rolled_back_is_as_new_after_a_rollback) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INTEGER PRIMARY KEY)");
    co_await c.begin();
    co_await c.execute("INSERT INTO t VALUES (1)");
    bool failed = false;
    try {
      co_await c.execute("INSERT OR ROLLBACK INTO t VALUES (1)");
    } catch (const database_error&) {
      failed = true;
    }
    EXPECT_TRUE(failed);
    failed = false;
    try {
      co_await c.commit();
    } catch (const database_error&) {
      failed = true;
    }
    EXPECT_TRUE(failed);
    co_await c.rollback();
    co_await c.execute("INSERT INTO t VALUES (2)");
    result all = co_await c.query("SELECT n FROM t");
    EXPECT_EQ(all.rows.size(), 1u);
  });
}

}  // namespace
}  // namespace penstock::db
