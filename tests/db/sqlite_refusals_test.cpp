#include "memory_database.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <limits>

#include <gtest/gtest.h>

// What a row gives rise to while it is stored is that row's alone.

namespace penstock::db {
namespace {

const table_definition texts{"t", "id", {{"v", column_type::text, false}}, {}};

row_batch rows_of(std::initializer_list<std::string_view> list) {
  row_batch rows(1);
  for (std::string_view v : list) {
    rows.add_text(v);
    rows.commit_row();
  }
  return rows;
}

// A letter a row: stored, duplicate or refused.
std::string outcomes(const batch_report& report) {
  std::string all;
  for (const row_outcome& row : report.rows) all += "sdr"[static_cast<int>(row.what)];
  return all;
}

// What storing the rows failed with.
task<std::optional<database_error>> failure_of_batch(connection& c, const table_definition& into,
                                                     const row_batch& rows) {
  std::optional<database_error> failed;
  batch_report report;
  try {
    task<void> inserting = c.insert_batch(into, rows, report);
    co_await std::move(inserting);
  } catch (const database_error& e) {
    failed = e;
  }
  co_return failed;
}

TEST(sqlite_refusals, an_error_that_one_row_gives_refuses_that_row_alone) {
  struct made {
    std::vector<std::string> by;
    const char* said;
  };
  const std::string plain = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)";
  for (const made& m :
       {made{{"CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT CHECK (abs(CAST(v AS INTEGER)) < 1000))"},
             "integer overflow"},
        made{{"CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER AS (json_extract(v, '$.n')) STORED)"},
             "malformed JSON"},
        made{{plain, "CREATE INDEX i ON t(json_extract(v, '$.n'))"}, "malformed JSON"},
        made{{plain, "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT json_extract(new.v, '$.n'); END"},
             "malformed JSON"}})
    with_memory_database([&](connection& c) -> task<> {
      for (const std::string& sql : m.by) co_await c.execute(sql);
      row_batch rows = rows_of({R"({"n":1})", "-9223372036854775808 {", R"({"n":2})"});
      batch_report report;
      co_await c.insert_batch(texts, rows, report);
      EXPECT_EQ(outcomes(report), "srs") << m.by.back();
      EXPECT_EQ(report.refusals.at(0).code, "db.data");
      EXPECT_EQ(report.refusals.at(0).message, m.said);
      result found = co_await c.query("SELECT (SELECT count(*) FROM t), integrity_check FROM pragma_integrity_check");
      EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{2})) << m.by.back();
      EXPECT_EQ(found.rows.at(0).at(1), value(std::string("ok"))) << m.by.back();
    });
}

TEST(sqlite_refusals, a_table_that_is_gone_or_lost_a_column_is_no_fault_of_the_rows) {
  const std::pair<const char*, db_errc> changes[] = {{"DROP TABLE t", db_errc::syntax},
                                                     {"ALTER TABLE t RENAME COLUMN v TO w", db_errc::table_drift}};
  for (const auto& [change, errc] : changes)
    with_memory_database([&, change = change, errc = errc](connection& c) -> task<> {
      co_await c.prepare_table(texts);
      row_batch rows = rows_of({"a", "b"});
      batch_report report;
      co_await c.insert_batch(texts, rows, report);
      co_await c.execute(change);
      task<std::optional<database_error>> failing = failure_of_batch(c, texts, rows);
      std::optional<database_error> failed = co_await std::move(failing);
      EXPECT_TRUE(failed && failed->errc() == errc) << change;
    });
}

const table_definition keyed{"t", "id", {{"v", column_type::text, false}}, {"v"}};

TEST(sqlite_refusals, what_a_trigger_did_for_a_row_that_is_there_already_is_undone) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.prepare_table(keyed);
    co_await c.execute("CREATE TABLE audit(v TEXT)");
    co_await c.execute("CREATE TRIGGER g BEFORE INSERT ON t BEGIN INSERT INTO audit VALUES (new.v); END");
    row_batch rows = rows_of({"a", "a", "b"});
    batch_report report;
    for (const char* expected : {"sds", "ddd"}) {
      co_await c.insert_batch(keyed, rows, report);
      EXPECT_EQ(outcomes(report), expected);
    }
    result found = co_await c.query("SELECT group_concat(v) FROM audit");
    EXPECT_EQ(found.rows.at(0).at(0), value(std::string("a,b")));
  });
}

TEST(sqlite_refusals, what_a_trigger_says_of_conflicts_counts) {
  const table_definition plain{"t", "id", {{"v", column_type::text, false}}, {}};
  for (const table_definition& into : {plain, keyed})
    with_memory_database([&](connection& c) -> task<> {
      co_await c.prepare_table(into);
      co_await c.execute("CREATE TABLE latest(first TEXT PRIMARY KEY, v TEXT)");
      co_await c.execute("CREATE TABLE firsts(first TEXT PRIMARY KEY)");
      co_await c.execute("CREATE TABLE seen(first TEXT PRIMARY KEY ON CONFLICT REPLACE)");
      co_await c.execute(
          "CREATE TRIGGER g AFTER INSERT ON t BEGIN "
          "INSERT OR REPLACE INTO latest VALUES (substr(new.v, 1, 1), new.v); "
          "INSERT OR IGNORE INTO firsts VALUES (substr(new.v, 1, 1)); "
          "INSERT INTO seen VALUES (substr(new.v, 1, 1)); END");
      row_batch rows = rows_of({"a1", "b1", "a2"});
      batch_report report;
      co_await c.insert_batch(into, rows, report);
      EXPECT_EQ(outcomes(report), "sss");
      result found = co_await c.query(
          "SELECT group_concat(v), (SELECT group_concat(first) FROM firsts), (SELECT count(*) FROM seen) "
          "FROM (SELECT v FROM latest ORDER BY v)");
      EXPECT_EQ(found.rows.at(0), (std::vector<value>{"a2,b1", "a,b", std::int64_t{2}}));
    });
}

// Which a clause in the statement would go before, but then before those of its triggers too.
TEST(sqlite_refusals, what_a_table_with_triggers_says_of_conflicts_itself_counts_for_nothing) {
  for (const char* says :
       {"ON CONFLICT IGNORE", "ON\nCONFLICT REPLACE", "on  conflict replace", "ON/**/CONFLICT IGNORE"})
    with_memory_database([says](connection& c) -> task<> {
      co_await c.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT UNIQUE " + std::string(says) + ")");
      co_await c.execute("CREATE TABLE audit(v TEXT)");
      co_await c.execute("CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO audit VALUES (new.v); END");
      row_batch rows = rows_of({"a", "a", "b"});
      batch_report report;
      const table_definition plain{"t", "id", {{"v", column_type::text, false}}, {}};
      co_await c.insert_batch(plain, rows, report);
      EXPECT_EQ(outcomes(report), "srs") << says;
    });
}

TEST(sqlite_refusals, a_conflict_that_would_roll_all_back_undoes_its_row_alone) {
  for (const char* seen :
       {"CREATE TABLE seen(first TEXT PRIMARY KEY ON CONFLICT ROLLBACK)", "CREATE TABLE seen(first TEXT PRIMARY KEY)"})
    with_memory_database([&](connection& c) -> task<> {
      co_await c.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, conflicts TEXT)");
      co_await c.execute(seen);
      bool table_says = std::string_view(seen).find("ROLLBACK") != std::string_view::npos;
      co_await c.execute(std::string("CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT ") +
                         (table_says ? "" : "OR ROLLBACK ") + "INTO seen VALUES (substr(new.v, 1, 1)); END");
      const table_definition plain{"t", "id", {{"v", column_type::text, false}}, {}};
      row_batch rows = rows_of({"a1", "b1", "a2", "c1"});
      batch_report report;
      co_await c.insert_batch(plain, rows, report);
      EXPECT_EQ(outcomes(report), "ssrs") << seen;
    });
}

TEST(sqlite_refusals, a_row_whose_key_only_its_trigger_has_stored_is_no_duplicate) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.prepare_table(keyed);
    co_await c.execute(
        "CREATE TRIGGER g BEFORE INSERT ON t BEGIN INSERT INTO t(v) VALUES (new.v); SELECT RAISE(IGNORE); END");
    row_batch rows = rows_of({"a"});
    task<std::optional<database_error>> failing = failure_of_batch(c, keyed, rows);
    std::optional<database_error> failed = co_await std::move(failing);
    EXPECT_TRUE(failed && failed->message().find("not stored") != std::string::npos);
    result found = co_await c.query("SELECT count(*) FROM t");
    EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{0}));
  });
}

// As migrations do: a new table, the rows copied, the old one dropped.
TEST(sqlite_refusals, a_table_that_is_made_anew_while_rows_go_in_gets_none_until_it_fits) {
  const table_definition into{"t", "id", {{"v", column_type::text, false}}, {"v"}};
  const std::string good = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT UNIQUE, more INTEGER)";
  for (const char* bad :
       {"CREATE TABLE t(id INTEGER PRIMARY KEY, v DECIMAL(8) UNIQUE)", "CREATE TABLE t(id INTEGER, v TEXT UNIQUE)",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE UNIQUE)"})
    with_memory_database([&](connection& c) -> task<> {
      co_await c.prepare_table(into);
      row_batch rows = rows_of({"007"});
      batch_report report;
      co_await c.insert_batch(into, rows, report);
      for (const std::string& sql : {std::string(bad), good}) {
        co_await c.execute("DROP TABLE t");
        co_await c.execute(sql);
        task<std::optional<database_error>> storing = failure_of_batch(c, into, rows);
        std::optional<database_error> failed = co_await std::move(storing);
        EXPECT_EQ(failed.has_value(), sql == bad) << sql;
        EXPECT_TRUE(!failed || failed->errc() == db_errc::table_drift) << failed->message();
        result found = co_await c.query("SELECT count(*) FROM t");
        EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{sql == bad ? 0 : 1})) << sql;
      }
    });
}

// Cells of one column, with one more of a text as their neighbour.
struct given {
  column_type column;
  value cell;
  value kept;  // null where the row is refused
};

TEST(sqlite_refusals, a_cell_that_its_column_would_keep_as_another_value_is_refused) {
  const std::int64_t most_exact = std::int64_t{1} << 53;
  const value refused;
  for (const char* strict : {" STRICT", ""})
    for (const given& g :
         {given{column_type::real, most_exact, 0x1p53}, given{column_type::real, most_exact + 1, refused},
          given{column_type::real, most_exact + 2, 0x1p53 + 2},
          given{column_type::real, std::numeric_limits<std::int64_t>::min(), -0x1p63},
          given{column_type::real, std::numeric_limits<std::int64_t>::max(), refused},
          given{column_type::real, std::string("0.5"), 0.5}, given{column_type::real, std::string("1e400"), refused},
          given{column_type::real, std::string("much"), refused},
          given{column_type::integer, std::string("-12"), std::int64_t{-12}},
          given{column_type::integer, std::string("9223372036854775808"), refused},
          given{column_type::integer, std::string("12 "), refused}, given{column_type::integer, std::string(), refused},
          given{column_type::boolean, std::string("1"), refused}})
      with_memory_database([&](connection& c) -> task<> {
        std::string type = g.column == column_type::real ? "REAL" : "INTEGER";
        co_await c.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v " + type + ", w TEXT)" + strict);
        table_definition table{"t", "id", {{"v", g.column, false}, {"w", column_type::text, false}}, {}};
        co_await c.prepare_table(table);
        row_batch rows(2);
        for (const value& v : {g.cell, value()}) {
          if (const auto* n = std::get_if<std::int64_t>(&v))
            rows.add_integer(*n);
          else if (const auto* text = std::get_if<std::string>(&v))
            rows.add_text(*text);
          else
            rows.add_null();
          rows.add_text("1e400");
          rows.commit_row();
        }
        batch_report report;
        co_await c.insert_batch(table, rows, report);
        EXPECT_EQ(outcomes(report), g.kept == refused ? "rs" : "ss");
        for (const row_refusal& why : report.refusals) {
          EXPECT_EQ(why.code, "db.data");
          EXPECT_NE(why.message.find("column 'v'"), std::string::npos) << why.message;
        }
        result found = co_await c.query("SELECT v FROM t ORDER BY id");
        EXPECT_EQ(found.rows.size(), g.kept == refused ? 1u : 2u);
        EXPECT_EQ(found.rows.at(0).at(0), g.kept) << strict << name_of(g.column);
      });
}

TEST(sqlite_refusals, a_batch_with_other_columns_than_the_definition_is_refused_as_a_whole) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.prepare_table(texts);
    row_batch rows(2);
    rows.add_text("a");
    rows.add_text("b");
    rows.commit_row();
    task<std::optional<database_error>> failing = failure_of_batch(c, texts, rows);
    std::optional<database_error> failed = co_await std::move(failing);
    EXPECT_TRUE(failed && failed->errc() == db_errc::data);
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

}  // namespace
}  // namespace penstock::db
