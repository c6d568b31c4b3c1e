#include "sqlite_things.h"
#include "temporary_folder.h"
#include <penstock/db/error.h>
#include <penstock/net/event_loop.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sqlite3.h>

// What is in double quotes is a name.

namespace penstock::db {
namespace {

const table_definition wanted = things();

task<void> run(connection& c, std::string sql) {
  task<std::uint64_t> running = c.execute(std::move(sql));
  co_await std::move(running);
}

task<bool> is_refused(task<void> doing, std::string name) {
  try {
    co_await std::move(doing);
  } catch (const database_error& e) {
    EXPECT_EQ(e.errc(), db_errc::syntax);
    EXPECT_NE(e.message().find("no such column"), std::string::npos) << e.message();
    EXPECT_NE(e.message().find(name), std::string::npos) << e.message();
    co_return true;
  }
  co_return false;
}

task<void> store(connection& c, std::string name, std::size_t stored) {
  row_batch rows(2);
  add(rows, name, 1);
  batch_report report;
  task<void> inserting = c.insert_batch(wanted, rows, report);
  co_await std::move(inserting);
  std::size_t count = report.rows.at(0).what == row_outcome::status::stored ? 1 : 0;
  EXPECT_EQ(count, stored);
}

TEST(sqlite, a_name_that_nobody_has_is_an_error_in_double_quotes_too) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.prepare_table(wanted);
    co_await c.execute("INSERT INTO things(name, size) VALUES ('one', 1), ('two', 2)");
    const std::pair<const char*, const char*> statements[] = {
        {"SELECT \"nmae\" FROM things", "nmae"},
        {"UPDATE things SET size = 0 WHERE \"idd\" = 'idd'", "idd"},
        {"INSERT INTO things(name) VALUES (\"three\")", "three"},
    };
    for (const auto& [sql, name] : statements) {
      task<bool> running = is_refused(run(c, sql), name);
      bool refused = co_await std::move(running);
      EXPECT_TRUE(refused) << sql;
    }
    table_definition other = wanted;
    other.unique_key = {"nmae"};
    std::vector<std::string> nmae = {"nmae"};
    auto look = [&]() -> task<void> { co_await c.find_by_key(other, nmae, {}, nmae); };
    task<bool> looking = is_refused(look(), "nmae");
    bool refused = co_await std::move(looking);
    EXPECT_TRUE(refused);
    result sum = co_await c.query("SELECT sum(size), count(*) FROM \"things\" WHERE \"name\" <> ''");
    EXPECT_EQ(sum.rows, (std::vector<std::vector<value>>{{3, 2}}));
  });
}

class file_of_another : public ::testing::Test {
 protected:
  // Made by a program for which names that nobody has are texts.
  void make(const std::vector<std::string>& statements) {
    sqlite3* made = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &made), SQLITE_OK);
    for (const std::string& sql : statements)
      EXPECT_EQ(sqlite3_exec(made, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sql;
    sqlite3_close(made);
  }
  std::string path() const { return (folder_ / "shop.db").string(); }

  template <class Body>
  void with_session(Body body) {
    auto main = [&]() -> task<> {
      database file(folder_.url("shop.db"));
      std::unique_ptr<connection> c = co_await file.connect();
      task<void> running = body(*c);
      co_await std::move(running);
    };
    net::run(main());
  }

  static inline const std::string table =
      "CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (name <> \"none\"), size INTEGER)";
  static inline const std::string trigger =
      "CREATE TRIGGER noting AFTER INSERT ON things WHEN NEW.name <> \"quiet\" BEGIN "
      "INSERT INTO notes VALUES (\"stored\"); END";

 private:
  temporary_folder folder_;
};

TEST_F(file_of_another, keeps_the_texts_in_double_quotes_of_its_checks_and_indexes) {
  make({table, "CREATE INDEX some ON things(size) WHERE name <> \"small\""});
  with_session([](connection& c) -> task<> {
    co_await c.prepare_table(wanted);
    task<void> storing = store(c, "one", 1);
    co_await std::move(storing);
    task<void> refusing = store(c, "none", 0);
    co_await std::move(refusing);
    task<bool> asking = is_refused(run(c, "SELECT \"nmae\" FROM things"), "nmae");
    bool refused = co_await std::move(asking);
    EXPECT_TRUE(refused);
    for (const char* sql : {"ALTER TABLE things RENAME COLUMN size TO width", "VACUUM"}) {
      task<void> running = run(c, sql);
      co_await std::move(running);
    }
  });
}

TEST_F(file_of_another, takes_rows_whose_triggers_have_texts_in_double_quotes) {
  make({table, "CREATE TABLE notes(note)", trigger, "CREATE VIEW loud AS SELECT name, \"loud\" AS how FROM things"});
  with_session([](connection& c) -> task<> {
    co_await c.prepare_table(wanted);
    task<void> storing = store(c, "one", 1);
    co_await std::move(storing);
    task<void> inserting = run(c, "INSERT INTO things(name) VALUES ('two')");
    co_await std::move(inserting);
    result notes = co_await c.query("SELECT note, count(*), (SELECT max(how) FROM loud) FROM notes");
    EXPECT_EQ(notes.rows, (std::vector<std::vector<value>>{{"stored", 2, "loud"}}));
  });
}

TEST_F(file_of_another, takes_rows_when_it_gets_such_a_trigger_while_it_is_served) {
  make({table, "CREATE TABLE notes(note)"});
  with_session([this](connection& c) -> task<> {
    co_await c.prepare_table(wanted);
    task<void> storing = store(c, "one", 1);
    co_await std::move(storing);
    make({trigger});
    task<void> again = store(c, "two", 1);
    co_await std::move(again);
    result notes = co_await c.query("SELECT note FROM notes");
    EXPECT_EQ(notes.rows, (std::vector<std::vector<value>>{{"stored"}}));
  });
}

}  // namespace
}  // namespace penstock::db
