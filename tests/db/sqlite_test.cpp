#include "sqlite_things.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <filesystem>
#include <limits>

#include <gtest/gtest.h>

namespace penstock::db {
namespace {

TEST(sqlite, stores_a_batch_and_gives_each_row_its_id) {
  with_memory_database([](connection& c) -> task<> {
    table_definition table = things();
    co_await c.prepare_table(table);
    row_batch rows(2);
    add(rows, "one", 1);
    add(rows, std::string_view("nul\0byte", 8), std::numeric_limits<std::int64_t>::min());
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.rows.size(), 2u);
    EXPECT_EQ(report.rows[1].id, 2);
    result found = co_await c.query("SELECT name, size FROM things ORDER BY id");
    EXPECT_EQ(std::get<std::string>(found.rows[1][0]), std::string("nul\0byte", 8));
    EXPECT_EQ(std::get<std::int64_t>(found.rows[1][1]), std::numeric_limits<std::int64_t>::min());
  });
}

TEST(sqlite, hands_out_a_large_result_piece_by_piece) {
  with_memory_database([](connection& c) -> task<> {
    std::string numbers =
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT i FROM n";
    std::vector<std::size_t> sizes;
    std::int64_t sum = 0;
    row_consumer take = [&](const result& some) -> task<void> {
      sizes.push_back(some.rows.size());
      for (const auto& row : some.rows) sum += std::get<std::int64_t>(row[0]);
      co_return;
    };
    task<std::uint64_t> reading = c.query_each(numbers, {}, take, 5);
    std::uint64_t count = co_await std::move(reading);
    EXPECT_EQ(count, 10u);
    EXPECT_EQ(sum, 55);
    EXPECT_EQ(sizes, (std::vector<std::size_t>{5, 5}));
  });
}

TEST(sqlite, leaves_the_session_clean_when_the_consumer_of_a_large_result_throws) {
  with_memory_database([](connection& c) -> task<> {
    row_consumer take = [](const result&) -> task<void> {
      throw std::runtime_error("enough");
      co_return;
    };
    task<std::uint64_t> reading = c.query_each("VALUES (1), (2), (3)", {}, take, 1);
    bool threw = false;
    try {
      co_await std::move(reading);
    } catch (const std::runtime_error&) {
      threw = true;
    }
    EXPECT_TRUE(threw);
    EXPECT_EQ(c.state(), session_state::clean);
    task<std::uint64_t> writing = c.execute("CREATE TABLE after (x INTEGER)");
    co_await std::move(writing);
  });
}

TEST(sqlite, a_refused_row_harms_no_neighbour) {
  with_memory_database([](connection& c) -> task<> {
    table_definition table = things();
    co_await c.prepare_table(table);
    row_batch rows(2);
    for (int i = 0; i < 1000; ++i) {
      if (i == 500) {
        rows.add_null();
        rows.add_integer(1);
        rows.commit_row();
      } else {
        add(rows, i == 900 ? "row7" : "row" + std::to_string(i), i);
      }
    }
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.rows[500].what, row_outcome::status::refused);
    EXPECT_EQ(report.refusals.at(0).code, "db.constraint");
    EXPECT_EQ(report.rows[900].what, row_outcome::status::duplicate);
    result found = co_await c.query("SELECT count(*) FROM things");
    EXPECT_EQ(std::get<std::int64_t>(found.rows[0][0]), 998);
  });
}

// Stores "a", null and "c" in the table `t`, and says what became of each: stored, refused, or the error's text.
task<std::string> insert_good_bad_good(connection& c) {
  table_definition table{"t", "id", {{"v", column_type::text, false}}, {}};
  co_await c.prepare_table(table);
  row_batch rows(1);
  for (const char* v : {"a", "", "c"}) {
    if (*v == 0)
      rows.add_null();
    else
      rows.add_text(v);
    rows.commit_row();
  }
  batch_report report;
  std::string outcome;
  try {
    co_await c.insert_batch(table, rows, report);
    for (const row_outcome& row : report.rows) outcome += row.what == row_outcome::status::stored ? "s" : "r";
  } catch (const database_error& e) {
    outcome = e.message();
  }
  result found = co_await c.query("SELECT count(*), count(v) FROM t");
  outcome += " " + std::to_string(std::get<std::int64_t>(found.rows[0][0]));
  co_return outcome;
}

TEST(sqlite, what_a_table_says_of_conflicts_harms_no_neighbour) {
  const char* rows_of_t = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)";
  struct row {
    std::vector<std::string> made;
    const char* expected;
  };
  for (const row& r :
       {row{{"CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT NOT NULL ON CONFLICT ROLLBACK)"}, "srs 2"},
        row{{"CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT NOT NULL ON CONFLICT IGNORE)"}, "srs 2"},
        row{{"CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT DEFAULT 'x' NOT NULL ON CONFLICT REPLACE)"}, "srs 2"},
        row{{rows_of_t, "CREATE TRIGGER g AFTER INSERT ON t WHEN new.v IS NULL BEGIN SELECT RAISE(FAIL, 'no'); END"},
            "srs 2"},
        row{{"CREATE TABLE p(v TEXT PRIMARY KEY)", "INSERT INTO p VALUES ('a'), ('c')",
             "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, w TEXT AS (ifnull(v, 'none')) REFERENCES p(v) "
             "DEFERRABLE INITIALLY DEFERRED)"},
            "srs 2"}})
    with_memory_database([&](connection& c) -> task<> {
      for (const std::string& sql : r.made) co_await c.execute(sql);
      EXPECT_EQ(co_await insert_good_bad_good(c), r.expected) << r.made.back();
    });
}

TEST(sqlite, a_trigger_that_drops_rows_or_batches_is_an_error_and_nothing_is_stored) {
  for (auto [raise, says] : {std::pair{"IGNORE", "accepted but not stored"}, {"ROLLBACK, 'no'", "let it RAISE(ABORT)"}})
    with_memory_database([raise = raise, says = says](connection& c) -> task<> {
      co_await c.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
      co_await c.execute(std::string("CREATE TRIGGER g BEFORE INSERT ON t WHEN new.v IS NULL BEGIN SELECT RAISE(") +
                         raise + "); END");
      std::string outcome = co_await insert_good_bad_good(c);
      EXPECT_NE(outcome.find(says), std::string::npos) << outcome;
      EXPECT_TRUE(outcome.ends_with(" 0")) << outcome;
    });
}

TEST(sqlite, a_row_that_a_trigger_drops_is_no_duplicate) {
  for (bool drops : {false, true})
    with_memory_database([drops](connection& c) -> task<> {
      table_definition table = things();
      co_await c.prepare_table(table);
      co_await c.execute(
          "CREATE TRIGGER g BEFORE INSERT ON things WHEN new.name = 'bad' BEGIN SELECT RAISE(IGNORE); END");
      row_batch rows(2);
      add(rows, "good", 1);
      add(rows, drops ? "bad" : "good", 2);
      batch_report report;
      std::string failed;
      try {
        co_await c.insert_batch(table, rows, report);
      } catch (const database_error& e) {
        failed = e.message();
      }
      EXPECT_EQ(failed.find("not stored") != std::string::npos, drops) << failed;
      result found = co_await c.query("SELECT count(*) FROM things");
      EXPECT_EQ(std::get<std::int64_t>(found.rows[0][0]), drops ? 0 : 1);
      EXPECT_TRUE(drops || report.rows.at(1).what == row_outcome::status::duplicate);
    });
}

TEST(sqlite, an_id_that_is_given_no_numbers_is_drift) {
  struct row {
    const char* made;
    bool fits;
  };
  for (const row& r :
       {row{"id INTEGER PRIMARY KEY, v TEXT", true}, row{"Id integer PRIMARY KEY AUTOINCREMENT, v TEXT", true},
        row{"id INTEGER, v TEXT, PRIMARY KEY (id)", true}, row{"id INT PRIMARY KEY, v TEXT", false},
        row{"id INTEGER PRIMARY KEY DESC, v TEXT", false}, row{"id INTEGER, v TEXT", false},
        row{"id INTEGER, v TEXT, PRIMARY KEY (id, v)", false}, row{"id TEXT PRIMARY KEY, v TEXT", false}})
    with_memory_database([&](connection& c) -> task<> {
      co_await c.execute(std::string("CREATE TABLE t(") + r.made + ")");
      table_definition table{"t", "id", {{"v", column_type::text, false}}, {}};
      std::string difference;
      try {
        co_await c.prepare_table(table);
      } catch (const database_error& e) {
        difference = e.message();
      }
      EXPECT_EQ(difference.empty(), r.fits) << r.made << ": " << difference;
      EXPECT_EQ(difference.find("no INTEGER PRIMARY KEY") == std::string::npos, r.fits) << difference;
    });
}

TEST(sqlite, a_table_that_does_not_fit_is_named_with_each_difference) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT, colour TEXT NOT NULL)");
    table_definition table = things();
    try {
      co_await c.prepare_table(table);
      ADD_FAILURE() << "drift went unseen";
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::table_drift);
      for (const char* part : {"'size'", "'colour'", "unique index on (name)"})
        EXPECT_NE(e.message().find(part), std::string::npos) << e.message();
    }
  });
}

TEST(sqlite, a_view_is_drift_as_such) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE base(id INTEGER PRIMARY KEY, name TEXT UNIQUE, size INTEGER)");
    co_await c.execute("CREATE VIEW Things AS SELECT * FROM base");
    co_await c.execute(
        "CREATE TRIGGER g INSTEAD OF INSERT ON things BEGIN INSERT INTO base(name) VALUES (new.name); END");
    table_definition table = things();
    table.id_column.clear();
    table.unique_key.clear();
    try {
      co_await c.prepare_table(table);
      ADD_FAILURE() << "drift went unseen";
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::table_drift);
      EXPECT_NE(e.message().find("it is a view"), std::string::npos) << e.message();
    }
  });
}

TEST(sqlite, names_that_differ_in_case_only_are_no_drift) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE Things(ID INTEGER PRIMARY KEY, Name TEXT NOT NULL, SIZE INTEGER, UNIQUE(NAME))");
    table_definition table = things();
    co_await c.prepare_table(table);
    row_batch rows(2);
    add(rows, "one", 1);
    add(rows, "one", 2);
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.rows[0].what, row_outcome::status::stored);
    EXPECT_EQ(report.rows[1].what, row_outcome::status::duplicate);
  });
}

TEST(sqlite, a_type_that_does_not_fit_is_seen_whatever_the_case_of_the_name) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT UNIQUE, Size TEXT)");
    table_definition table = things();
    try {
      co_await c.prepare_table(table);
      ADD_FAILURE() << "drift went unseen";
    } catch (const database_error& e) {
      EXPECT_NE(e.message().find("column 'size' is TEXT"), std::string::npos) << e.message();
    }
  });
}

TEST(sqlite, a_primary_key_is_a_key) {
  for (const char* made : {"(name INTEGER PRIMARY KEY, size INTEGER)", "(name INT PRIMARY KEY, size INTEGER)",
                           "(name INTEGER PRIMARY KEY, size INTEGER) WITHOUT ROWID"})
    with_memory_database([&](connection& c) -> task<> {
      co_await c.execute(std::string("CREATE TABLE things") + made);
      table_definition table{"things", "", {{"name", column_type::integer}, {"size", column_type::integer}}, {"name"}};
      co_await c.prepare_table(table);
      row_batch rows(2);
      for (std::int64_t size : {1, 2}) {
        rows.add_integer(7);
        rows.add_integer(size);
        rows.commit_row();
      }
      batch_report report;
      co_await c.insert_batch(table, rows, report);
      EXPECT_EQ(report.rows.at(0).what, row_outcome::status::stored) << made;
      EXPECT_EQ(report.rows.at(1).what, row_outcome::status::duplicate) << made;
    });
}

TEST(sqlite, a_part_of_the_primary_key_is_no_key) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE things(name TEXT, size INTEGER, PRIMARY KEY (name, size))");
    table_definition table = things();
    table.id_column.clear();
    bool fits = true;
    try {
      co_await c.prepare_table(table);
    } catch (const database_error&) {
      fits = false;
    }
    EXPECT_FALSE(fits);
  });
}

TEST(sqlite, an_index_over_some_rows_or_an_expression_makes_no_key) {
  for (const char* index : {"things(name) WHERE size > 0", "things(lower(name))"}) {
    with_memory_database([&](connection& c) -> task<> {
      co_await c.execute("CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT, size INTEGER)");
      co_await c.execute(std::string("CREATE UNIQUE INDEX only ON ") + index);
      table_definition table = things();
      try {
        co_await c.prepare_table(table);
        ADD_FAILURE() << "drift went unseen: " << index;
      } catch (const database_error& e) {
        EXPECT_NE(e.message().find("unique index on (name)"), std::string::npos) << e.message();
      }
    });
  }
}

TEST(sqlite, a_column_that_would_keep_values_as_others_is_drift) {
  struct row {
    const char* declared;
    column_type wanted;
    bool fits;
  };
  for (const row& r : {row{"TEXT", column_type::integer, false},
                       row{"varchar(20)", column_type::real, false},
                       row{"INTEGER", column_type::text, false},
                       row{"double", column_type::timestamp, false},
                       row{"BIGINT", column_type::json, false},
                       row{"BIGINT", column_type::integer, true},
                       row{"VARCHAR(20)", column_type::text, true},
                       row{"DATETIME", column_type::timestamp, true},
                       row{"", column_type::text, true},
                       row{"REAL", column_type::integer, false},
                       row{"FLOAT", column_type::integer, false},
                       row{"double", column_type::boolean, true},
                       row{"REAL", column_type::real, true},
                       row{"INTEGER", column_type::real, true},
                       row{"STRING", column_type::text, false},
                       row{"JSON", column_type::json, false},
                       row{"uuid", column_type::text, false},
                       row{"DECIMAL(10,2)", column_type::integer, true},
                       row{"BOOLEAN", column_type::boolean, true},
                       row{"BLOB", column_type::text, true}}) {
    with_memory_database([&](connection& c) -> task<> {
      co_await c.execute(std::string("CREATE TABLE t(id INTEGER PRIMARY KEY, v ") + r.declared + ")");
      table_definition table;
      table.name = "t";
      table.columns.push_back({.name = "v", .type = r.wanted});
      bool fits = true;
      try {
        co_await c.prepare_table(table);
      } catch (const database_error& e) {
        fits = false;
        EXPECT_NE(e.message().find("column 'v' is "), std::string::npos) << e.message();
      }
      EXPECT_EQ(fits, r.fits) << r.declared << " for " << name_of(r.wanted);
    });
  }
}

TEST(sqlite, a_statement_behind_another_one_is_refused_without_being_carried_out) {
  with_memory_database([](connection& c) -> task<> {
    for (const char* sql : {"SELECT 1; PRAGMA foreign_keys=OFF", "SELECT 1 /* ; */;; -- ;\n PRAGMA foreign_keys=OFF"}) {
      std::optional<db_errc> failed;
      try {
        co_await c.query(sql);
      } catch (const database_error& e) {
        failed = e.errc();
      }
      EXPECT_EQ(failed, db_errc::syntax) << sql;
      result kept = co_await c.query("PRAGMA foreign_keys");
      EXPECT_EQ(kept.rows.at(0).at(0), value(std::int64_t{1})) << sql;
    }
    for (const char* sql : {"SELECT 1;", "SELECT 1 ; /* no more */ -- than\n ;", "SELECT 1 /* the rest"})
      EXPECT_EQ((co_await c.query(sql)).rows.size(), 1u) << sql;
  });
}

TEST(row_batch, an_abandoned_row_leaves_no_trace) {
  row_batch rows(2);
  add(rows, "kept", 1);
  std::size_t bytes = rows.bytes();
  rows.add_text("dropped");
  rows.abandon_row();
  EXPECT_EQ(rows.rows(), 1u);
  EXPECT_EQ(rows.bytes(), bytes);
  add(rows, "next", 2);
  EXPECT_EQ(rows.row(1)[0].text(), "next");
}

TEST(database, a_url_of_no_driver_is_refused_by_name) {
  EXPECT_THROW(database("oracle://x"), database_error);
  EXPECT_THROW(database("sqlite:"), database_error);
}

}  // namespace
}  // namespace penstock::db
