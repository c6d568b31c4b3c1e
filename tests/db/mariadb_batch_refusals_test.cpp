#include "mariadb_batch.h"

#include <functional>

// Rows that are refused by more than their own table's columns: by triggers, partitions and views. And texts for
// columns that are not UTF-8. By every way into the database.

namespace penstock::db {
namespace {

using status = row_outcome::status;

class mariadb_batch_refusals : public batch_test, public ::testing::WithParamInterface<const char*> {
 protected:
  using fill = std::function<void(row_batch& rows, std::size_t row, bool bad)>;

  // A thousand rows into a fresh table, of which only the one at `place` is bad.
  void expect_refused_alone(const std::vector<std::string>& schema, const table_definition& into, fill add_row,
                            std::size_t place, std::string_view code) {
    auto body = [&](connection& c) -> task<> {
      for (const std::string& sql : schema) {
        co_await c.execute(sql);
      }
      row_batch rows(into.columns.size());
      for (std::size_t i = 0; i < 1'000; ++i) add_row(rows, i, i == place);
      batch_report report;
      co_await c.insert_batch(into, rows, report);
      EXPECT_LE(report.round_trips, 4u + 12u) << "at " << place;
      EXPECT_EQ(report.refusals.size(), 1u) << "at " << place;
      EXPECT_EQ(code_of(report, place), code) << "at " << place;
      std::size_t stored = 0;
      for (const row_outcome& outcome : report.rows) stored += outcome.what == status::stored ? 1 : 0;
      EXPECT_EQ(stored, 999u);
      value count = co_await ask(c, "SELECT count(*) FROM " + quote_identifier(into.name));
      EXPECT_EQ(count, value(std::int64_t{999}));
    };
    with_session(body, GetParam());
  }

  void expect_refused_at_each_place(const std::vector<std::string>& schema, const table_definition& into, fill add_row,
                                    std::string_view code) {
    for (std::size_t place : {std::size_t{0}, std::size_t{100}, std::size_t{999}})
      expect_refused_alone(schema, into, add_row, place, code);
  }

  static void add_name(row_batch& rows, std::string_view name) {
    rows.add_text(name);
    rows.commit_row();
  }

  static void add_number(row_batch& rows, std::int64_t n) {
    rows.add_integer(n);
    rows.commit_row();
  }

  // A row that is there already meets the index on `code` first.
  std::string code_before_name() const {
    return "CREATE TABLE t(id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT CHECK (n % 2 = 0), name VARCHAR(20) COLLATE " +
           std::string(is_mysql() ? "utf8mb4_0900_bin" : "utf8mb4_nopad_bin") +
           ", code INT, UNIQUE (code), UNIQUE (name))";
  }

  const table_definition named{"named", "id", {{"name", column_type::text}}, {}};
  const table_definition numbered{"numbered", "id", {{"n", column_type::integer}}, {}};
  const std::vector<std::string> named_table{
      "DROP TABLE IF EXISTS named, audit",
      "CREATE TABLE named(id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60))"};
};

// What the trigger runs counts rows of its own: "Data too long for column 'name' at row 1".
TEST_P(mariadb_batch_refusals, by_what_a_trigger_runs_is_of_the_row_that_it_ran_for) {
  std::vector<std::string> schema = named_table;
  schema.emplace_back("CREATE TABLE audit(name VARCHAR(10))");
  schema.emplace_back("CREATE TRIGGER keep AFTER INSERT ON named FOR EACH ROW INSERT INTO audit VALUES (NEW.name)");
  auto add_row = [](row_batch& rows, std::size_t row, bool bad) {
    add_name(rows, bad ? "a name of more than ten" : "row" + std::to_string(row));
  };
  expect_refused_at_each_place(schema, named, add_row, "db.data");
}

TEST_P(mariadb_batch_refusals, by_a_unique_index_that_a_trigger_meets_is_of_the_row_that_it_ran_for) {
  std::vector<std::string> schema = named_table;
  schema.emplace_back("CREATE TABLE audit(name VARCHAR(60) UNIQUE)");
  schema.emplace_back("INSERT INTO audit VALUES ('known')");
  schema.emplace_back("CREATE TRIGGER keep AFTER INSERT ON named FOR EACH ROW INSERT INTO audit VALUES (NEW.name)");
  auto add_row = [](row_batch& rows, std::size_t row, bool bad) {
    add_name(rows, bad ? "known" : "row" + std::to_string(row));
  };
  expect_refused_at_each_place(schema, named, add_row, "db.constraint");
}

TEST_P(mariadb_batch_refusals, by_a_triggers_unique_index_of_the_same_name_as_the_key_makes_no_duplicate) {
  const std::vector<std::string> schema{
      "DROP TABLE IF EXISTS named, audit",
      "CREATE TABLE named(id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60), UNIQUE KEY known_name(name))",
      "CREATE TABLE audit LIKE named", "INSERT INTO audit(name) VALUES ('known')",
      "CREATE TRIGGER keep AFTER INSERT ON named FOR EACH ROW INSERT INTO audit(name) VALUES (NEW.name)"};
  const table_definition keyed{"named", "id", {{"name", column_type::text}}, {"name"}};
  auto add_row = [](row_batch& rows, std::size_t row, bool bad) {
    add_name(rows, bad ? "known" : "row" + std::to_string(row));
  };
  expect_refused_at_each_place(schema, keyed, add_row, "db.constraint");
}

// Its server names the index that it met first.
TEST_P(mariadb_batch_refusals, of_a_row_that_is_there_already_make_it_a_duplicate_whichever_index_it_meets) {
  auto body = [&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT, name VARCHAR(20) COLLATE " +
                       std::string(is_mysql() ? "utf8mb4_0900_bin" : "utf8mb4_nopad_bin") +
                       ", code INT UNIQUE, UNIQUE (name))");
    for (bool again : {false, true}) {
      row_batch rows(3);
      add(rows, 2, "one", 1);
      batch_report report;
      co_await c.insert_batch(table, rows, report);
      EXPECT_EQ(report.rows.at(0).what, again ? status::duplicate : status::stored);
    }
    row_batch rows(3);
    add(rows, 2, "another", 1);
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(code_of(report, 0), "db.constraint");
  };
  with_session(body, GetParam());
}

// However many rows were refused before them.
TEST_P(mariadb_batch_refusals, beside_rows_that_are_there_already_make_none_of_those_a_refusal) {
  auto body = [&](connection& c) -> task<> {
    for (int count : {40, 600}) {
      co_await c.execute("DROP TABLE IF EXISTS t");
      co_await c.execute(code_before_name());
      co_await c.execute("INSERT INTO t(n, name, code) SELECT 2, CONCAT('row', seq), seq FROM " + numbers(14));
      row_batch rows(3);
      for (int i = 1; i <= count; ++i) {
        bool is_bad = i <= 4;
        add(rows, is_bad ? 1 : 2, (is_bad ? "bad" : "row") + std::to_string(i), is_bad ? 10'000 + i : i == 30 ? 5 : i);
      }
      batch_report report;
      co_await c.insert_batch(table, rows, report);
      for (int i = 1; i <= count; ++i) {
        status expected = i <= 4 || i == 30 ? status::refused : i <= 14 ? status::duplicate : status::stored;
        EXPECT_EQ(report.rows.at(static_cast<std::size_t>(i) - 1).what, expected) << i << " of " << count;
      }
      task<void> checking = expect_stored(c, rows, report, 14);
      co_await std::move(checking);
    }
  };
  with_session(body, GetParam());
}

// The row that brings the key later did not stand in the way.
TEST_P(mariadb_batch_refusals, of_a_row_whose_key_comes_with_a_later_one_make_it_no_duplicate) {
  auto body = [&](connection& c) -> task<> {
    co_await c.execute(code_before_name());
    co_await c.execute("INSERT INTO t(n, name, code) VALUES (2, 'known', 7)");
    row_batch rows(3);
    for (int i = 0; i < 40; ++i)
      add(rows, i < 5 ? 1 : 2, i == 25 ? "row15" : "row" + std::to_string(i), i == 15 ? 7 : 100 + i);
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(code_of(report, 15), "db.constraint");
    EXPECT_EQ(report.rows.at(25).what, status::stored);
    EXPECT_EQ(report.refusals.size(), 6u);
    task<void> checking = expect_stored(c, rows, report, 1);
    co_await std::move(checking);
  };
  with_session(body, GetParam());
}

TEST_P(mariadb_batch_refusals, of_keys_that_the_columns_character_set_lacks_are_of_their_rows_alone) {
  if (is_mysql()) GTEST_SKIP() << "MySQL has no such collation";
  auto body = [&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TABLE t(id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT, name VARCHAR(20) CHARACTER SET latin1 COLLATE "
        "latin1_nopad_bin, code INT, UNIQUE (name))");
    co_await c.execute("INSERT INTO t(name) VALUES ('there')");
    for (int more : {0, 400}) {
      row_batch rows(3);
      add(rows, 2, "there");
      add(rows, 2, "東");
      add_good(rows, 1 + more, "row" + std::to_string(more) + "_");
      batch_report report;
      co_await c.insert_batch(table, rows, report);
      EXPECT_EQ(report.rows.at(0).what, status::duplicate);
      EXPECT_EQ(code_of(report, 1), "db.data");
      for (std::size_t i = 2; i < rows.rows(); ++i) EXPECT_EQ(report.rows[i].what, status::stored) << i;
    }
  };
  with_session(body, GetParam());
}

// The server tells of no row then what was wrong with it.
TEST_P(mariadb_batch_refusals, of_a_key_that_is_no_text_is_of_its_row_alone) {
  with_table(
      [&](connection& c) -> task<> {
        row_batch rows(3);
        add_good(rows, 50);
        rows.add_integer(2);
        rows.add_blob(std::as_bytes(std::span("\xff\xfe", 2)));
        rows.add_null();
        rows.commit_row();
        for (auto expected : {row_outcome::status::stored, row_outcome::status::duplicate}) {
          batch_report report;
          task<void> inserting = c.insert_batch(table, rows, report);
          co_await std::move(inserting);
          EXPECT_EQ(code_of(report, 50), "db.data");
          for (std::size_t r = 0; r < 50; ++r) EXPECT_EQ(report.rows.at(r).what, expected) << "row " << r;
        }
      },
      GetParam());
}

TEST_P(mariadb_batch_refusals, are_told_in_a_session_that_keeps_no_warnings) {
  const std::vector<std::string> schema{"DROP TABLE IF EXISTS numbered",
                                        "CREATE TABLE numbered(id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT, "
                                        "CHECK (n % 7 <> 3))",
                                        "SET max_error_count=0"};
  auto body = [&](connection& c) -> task<> {
    for (int count : {6, 50, 610}) {
      for (const std::string& sql : schema) co_await c.execute(sql);
      row_batch rows(1);
      std::size_t bad = 0;
      for (int n = 0; n < count; ++n) {
        bad += n % 7 == 3 ? 1 : 0;
        add_number(rows, n);
      }
      batch_report report;
      co_await c.insert_batch(numbered, rows, report);
      EXPECT_EQ(report.refusals.size(), bad);
      value there = co_await ask(c, "SELECT count(*) FROM numbered");
      EXPECT_EQ(there, value(static_cast<std::int64_t>(rows.rows() - bad)));
    }
  };
  with_session(body, GetParam());
}

TEST_P(mariadb_batch_refusals, by_a_trigger_that_signals_is_of_its_row_alone) {
  for (const char* with : {"", " SET MESSAGE_TEXT = 'no', MYSQL_ERRNO = 31001"}) {
    std::vector<std::string> schema = named_table;
    schema.emplace_back(
        "CREATE TRIGGER judge BEFORE INSERT ON named FOR EACH ROW IF NEW.name = 'bad' THEN SIGNAL SQLSTATE '45000'" +
        std::string(with) + "; END IF");
    auto add_row = [](row_batch& rows, std::size_t row, bool bad) {
      add_name(rows, bad ? "bad" : "row" + std::to_string(row));
    };
    expect_refused_at_each_place(schema, named, add_row, "db.constraint");
  }
}

TEST_P(mariadb_batch_refusals, for_want_of_a_partition_is_of_its_row_alone) {
  const std::vector<std::string> schema{
      "DROP TABLE IF EXISTS numbered",
      "CREATE TABLE numbered(id BIGINT AUTO_INCREMENT, n BIGINT NOT NULL, PRIMARY KEY (id, n)) "
      "PARTITION BY RANGE (n) (PARTITION low VALUES LESS THAN (1000))"};
  auto add_row = [](row_batch& rows, std::size_t row, bool bad) {
    add_number(rows, bad ? 5'000 : static_cast<std::int64_t>(row));
  };
  expect_refused_at_each_place(schema, numbered, add_row, "db.constraint");
}

TEST_P(mariadb_batch_refusals, by_the_check_option_of_a_view_is_of_its_row_alone) {
  const std::vector<std::string> schema{
      "DROP VIEW IF EXISTS numbered", "DROP TABLE IF EXISTS beneath",
      "CREATE TABLE beneath(id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT)",
      "CREATE VIEW numbered AS SELECT * FROM beneath WHERE n < 1000 WITH CHECK OPTION"};
  auto add_row = [](row_batch& rows, std::size_t row, bool bad) {
    add_number(rows, bad ? 5'000 : static_cast<std::int64_t>(row));
  };
  expect_refused_at_each_place(schema, numbered, add_row, "db.constraint");
}

TEST_P(mariadb_batch_refusals, are_told_of_each_of_many_rows_that_a_trigger_refuses) {
  auto body = [&](connection& c) -> task<> {
    for (const std::string& sql : named_table) {
      co_await c.execute(sql);
    }
    co_await c.execute("CREATE TABLE audit(name VARCHAR(10))");
    co_await c.execute("CREATE TRIGGER keep AFTER INSERT ON named FOR EACH ROW INSERT INTO audit VALUES (NEW.name)");
    row_batch rows(1);
    for (int i = 0; i < 600; ++i) add_name(rows, i % 50 == 20 ? "a name of more than ten" : "row" + std::to_string(i));
    batch_report report;
    co_await c.insert_batch(named, rows, report);
    EXPECT_EQ(report.refusals.size(), 12u);
    for (std::size_t i = 0; i < 600; ++i)
      EXPECT_EQ(report.rows[i].what, i % 50 == 20 ? status::refused : status::stored) << i;
    value count = co_await ask(c, "SELECT count(*) FROM named");
    EXPECT_EQ(count, value(std::int64_t{588}));
  };
  with_session(body, GetParam());
}

TEST_P(mariadb_batch_refusals, of_a_thousand_rows_by_a_trigger_take_few_round_trips) {
  auto body = [&](connection& c) -> task<> {
    for (const std::string& sql : named_table) {
      co_await c.execute(sql);
    }
    co_await c.execute(
        "CREATE TRIGGER judge BEFORE INSERT ON named FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'never', "
        "MYSQL_ERRNO = 31001");
    row_batch rows(1);
    for (int i = 0; i < 1'000; ++i) add_name(rows, "row" + std::to_string(i));
    batch_report report;
    co_await c.insert_batch(named, rows, report);
    EXPECT_EQ(report.refusals.size(), 1'000u);
    for (const row_refusal& refusal : report.refusals) EXPECT_EQ(refusal.message, "never");
    if (!is_mysql()) {  // it has no compound statements
      EXPECT_LE(report.round_trips, 20u);
    }
  };
  with_session(body, GetParam());
}

// The server would cut them off with a note, and find the second key there already.
TEST_P(mariadb_batch_refusals, are_told_of_keys_whose_blanks_at_the_end_a_column_does_not_hold) {
  const table_definition keyed{"keyed", "id", {{"name", column_type::text}, {"t", column_type::text}}, {"name"}};
  auto body = [&](connection& c) -> task<> {
    co_await c.prepare_table(keyed);
    co_await c.execute("ALTER TABLE keyed MODIFY t TINYTEXT");
    co_await c.prepare_table(keyed);
    row_batch rows(2);
    auto add_row = [&](std::string_view name, std::string_view text) {
      rows.add_text(name);
      rows.add_text(text);
      rows.commit_row();
    };
    add_row("x" + std::string(300, ' '), "");
    add_row("x" + std::string(301, ' '), "");
    add_row("x" + std::string(254, 'y') + "\t", "");
    add_row("tinytext", std::string(250, 'x') + "ééé ");
    for (int i = 0; i < 400; ++i) add_row("é" + std::to_string(i) + std::string(251, ' '), "ends blank ");
    batch_report report;
    co_await c.insert_batch(keyed, rows, report);
    EXPECT_EQ(report.refusals.size(), 4u);
    for (std::size_t row = 0; row < 4; ++row) EXPECT_EQ(code_of(report, row), "db.data") << row;
    value stored = co_await ask(c, "SELECT count(*) FROM keyed WHERE CHAR_LENGTH(name) BETWEEN 253 AND 255");
    EXPECT_EQ(stored, value(std::int64_t{400}));
    value all = co_await ask(c, "SELECT count(*) FROM keyed");
    EXPECT_EQ(all, value(std::int64_t{400}));
  };
  with_session(body, GetParam());
}

class mariadb_batch_latin1 : public mariadb_batch_refusals {};

TEST_P(mariadb_batch_latin1, columns_get_their_own_bytes_for_a_text) {
  auto body = [&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TABLE named(id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) CHARACTER SET latin1)");
    for (std::size_t count : {std::size_t{300}, std::size_t{1}}) {
      row_batch rows(1);
      for (std::size_t i = 0; i < count; ++i) add_name(rows, "naïve é");
      add_name(rows, "東京");
      batch_report report;
      co_await c.insert_batch(named, rows, report);
      EXPECT_EQ(report.refusals.size(), 1u);
      EXPECT_EQ(code_of(report, count), "db.data");
    }
    value same = co_await ask(c, "SELECT count(*) FROM named WHERE name = 'naïve é' AND LENGTH(name) = 7");
    EXPECT_EQ(same, value(std::int64_t{301}));
  };
  with_session(body, GetParam());
}

TEST_P(mariadb_batch_latin1, keys_are_the_same_for_many_rows_and_for_one) {
  const table_definition keyed{"keyed", "id", {{"name", column_type::text}}, {"name"}};
  auto body = [&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TABLE keyed(id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) CHARACTER SET latin1 COLLATE "
        "latin1_bin, UNIQUE KEY by_name (name))");
    row_batch rows(1);
    for (int i = 0; i < 300; ++i) add_name(rows, "é" + std::to_string(i));
    batch_report report;
    co_await c.insert_batch(keyed, rows, report);
    EXPECT_TRUE(report.refusals.empty());
    row_batch one(1);
    add_name(one, "é7");
    co_await c.insert_batch(keyed, one, report);
    EXPECT_EQ(report.rows.at(0).what, status::duplicate);
    value count = co_await ask(c, "SELECT count(*) FROM keyed");
    EXPECT_EQ(count, value(std::int64_t{300}));
  };
  with_session(body, GetParam());
}

INSTANTIATE_TEST_SUITE_P(ways, mariadb_batch_refusals, ::testing::ValuesIn(batch_test::ways), batch_test::name_of_way);
INSTANTIATE_TEST_SUITE_P(ways, mariadb_batch_latin1, ::testing::ValuesIn(batch_test::ways), batch_test::name_of_way);

}  // namespace
}  // namespace penstock::db
