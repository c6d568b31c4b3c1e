#include "postgres_rows.h"
#include "server_fixture.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

// What a row's values are made into: what can't be read as what it is to be, and a key that becomes another one.

namespace penstock::db {
namespace {

class postgres_judged_values : public server_test {
 protected:
  postgres_judged_values() : server_test("TESTED_POSTGRESQL") {}
};

TEST_F(postgres_judged_values, that_have_a_syntax_of_their_own_are_refused_alone) {
  const std::string made = "CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, v text";
  const std::string trigger = "CREATE TRIGGER judged BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.judge()";
  const std::vector<std::vector<std::string>> tables = {
      {made + " CHECK (v::tsquery IS NOT NULL))"},
      {made + ", q tsquery GENERATED ALWAYS AS (to_tsquery('simple', v)) STORED)"},
      {made + " CHECK (v::jsonpath IS NOT NULL))"},
      {made + " CHECK (v::regconfig IS NOT NULL))"},
      {made + " CHECK (v::regtype IS NOT NULL))"},
      {"CREATE EXTENSION IF NOT EXISTS ltree", made + ", path ltree GENERATED ALWAYS AS (text2ltree(v)) STORED)"},
      {made + ")", trigger_function("PERFORM xpath(NEW.v, '<a/>'::xml);"), trigger},
  };
  const table_definition into{"t", "id", {{"v", column_type::text}}, {}};
  with_connection([&](connection& c) -> task<> {
    for (const std::vector<std::string>& sqls : tables)
      for (std::size_t count : {3, 40, 700}) {
        SCOPED_TRACE(sqls.back() + ", " + std::to_string(count));
        for (const std::string& sql : sqls) co_await c.execute(sql);
        row_batch rows(1);
        for (std::size_t i = 0; i < count; ++i) {
          auto says = [&](const char* what) { return sqls.back().find(what) != std::string::npos; };
          const char* good = says("jsonpath") ? "$.a" : says("regconfig") ? "english" : says("regtype") ? "int" : "a";
          rows.add_text(i == 1 ? "(" : good);
          rows.commit_row();
        }
        batch_report report;
        co_await c.insert_batch(into, rows, report);
        for (std::size_t i = 0; i < count; ++i)
          EXPECT_EQ(report.rows.at(i).what, i == 1 ? status::refused : status::stored) << i;
        co_await c.reset();
      }
  });
}

TEST_F(postgres_judged_values, fail_the_batch_where_none_goes_in) {
  const table_definition into{"t", "id", {{"v", column_type::text}}, {}};
  with_connection([&](connection& c) -> task<> {
    for (const char* as : {"v::regconfig", "'nowhere'::text::regconfig"})
      for (std::size_t count : {1, 10, 700}) {
        SCOPED_TRACE(std::string(as) + ", " + std::to_string(count));
        std::string making =
            std::string("CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, v text CHECK (") + as + " IS NOT NULL))";
        co_await c.execute(making);
        row_batch rows(1);
        for (std::size_t i = 0; i < count; ++i) {
          rows.add_text("nowhere");
          rows.commit_row();
        }
        batch_report report;
        std::optional<db_errc> failed;
        try {
          co_await c.insert_batch(into, rows, report);
        } catch (const database_error& e) {
          failed = e.errc();
        }
        EXPECT_EQ(failed, db_errc::syntax);
        co_await c.reset();
      }
  });
}

// 256 rows go together, and the last one by itself.
TEST_F(postgres_judged_values, refused_beside_rows_that_depend_on_others_leave_those_stored_once) {
  const table_definition into{
      "t", "id", {{"n", column_type::integer}, {"p", column_type::integer}, {"v", column_type::text}}, {}};
  with_connection([&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, n bigint UNIQUE, p bigint REFERENCES t (n), v text CHECK "
        "(v::regconfig IS NOT NULL))");
    row_batch rows(3);
    for (std::int64_t i = 0; i < 257; ++i) {
      rows.add_integer(i);
      i == 256 ? rows.add_integer(17) : rows.add_null();
      rows.add_text(i == 5 ? "nowhere" : "english");
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(into, rows, report);
    for (std::size_t i = 0; i < 257; ++i)
      EXPECT_EQ(report.rows.at(i).what, i == 5 ? status::refused : status::stored) << i;
    result found = co_await c.query("SELECT count(*) FROM t");
    EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{256}));
  });
}

TEST_F(postgres_judged_values, are_another_key_once_a_trigger_has_changed_it) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k text UNIQUE, n bigint)");
    co_await c.execute(trigger_function("IF NEW.n = 4 THEN NEW.k := 'm' || NEW.k; END IF;"));
    co_await c.execute(judging("t"));
    const table_definition into{"t", "id", {{"k", column_type::text}, {"n", column_type::integer}}, {"k"}};
    row_batch rows(2);
    for (std::int64_t n : {1, 4, 1, 4}) {
      rows.add_text("a");
      rows.add_integer(n);
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(into, rows, report);
    std::vector<status> told;
    for (const row_outcome& row : report.rows) told.push_back(row.what);
    EXPECT_EQ(told, (std::vector<status>{status::stored, status::stored, status::duplicate, status::duplicate}));
    co_await c.execute("DELETE FROM t WHERE k = 'ma'");
    co_await c.insert_batch(into, rows, report);
    told.clear();
    for (const row_outcome& row : report.rows) told.push_back(row.what);
    EXPECT_EQ(told, (std::vector<status>{status::duplicate, status::stored, status::duplicate, status::duplicate}));
    result stored = co_await c.query("SELECT k FROM t ORDER BY id");
    EXPECT_EQ(stored.rows.size(), 2u);
    EXPECT_EQ(stored.rows.at(1).at(0), value(std::string("ma")));
  });
}

}  // namespace
}  // namespace penstock::db
