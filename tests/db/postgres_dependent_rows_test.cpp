#include "server_fixture.h"
#include <penstock/db/connection.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

// Rows that are stored only because of an earlier one of their batch, where another one is refused.

namespace penstock::db {
namespace {

using status = row_outcome::status;

class postgres_dependent_rows : public server_test {
 protected:
  postgres_dependent_rows() : server_test("TESTED_POSTGRESQL") {}
};

struct dependence {
  const char* by;
  std::vector<std::string> made;
  const char* into = "t";
};

std::string with_parent(const std::string& body) {
  return "CREATE FUNCTION pg_temp.judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.p IS NOT NULL AND NOT "
         "EXISTS (SELECT FROM t WHERE a = NEW.p) THEN " +
         body + " END IF; RETURN NEW; END $$";
}

const std::vector<dependence>& ways_to_depend() {
  const std::string plain =
      "CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, a bigint UNIQUE CHECK (a < 1000000), p bigint)";
  const std::string before = "CREATE TRIGGER judging BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.judge()";
  static const std::vector<dependence> ways = {
      {"a reference behind a view",
       {plain, "ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES t (a)", "CREATE TEMPORARY VIEW v AS SELECT * FROM t"},
       "v"},
      {"a reference to what a rule stores",
       {"CREATE TEMPORARY TABLE parents (a bigint PRIMARY KEY)", plain,
        "ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES parents",
        "CREATE RULE brings AS ON INSERT TO t DO ALSO INSERT INTO parents VALUES (NEW.a)"}},
      {"a trigger before", {plain, with_parent("RAISE 'no such parent';"), before}},
      {"a trigger before that leaves a column out",
       {plain, "ALTER TABLE t ADD path text NOT NULL DEFAULT ''", with_parent("NEW.path := NULL;"), before}},
      {"a trigger behind",
       {plain, with_parent("RAISE 'no such parent';"),
        "CREATE TRIGGER judging AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.judge()"}},
      {"a function of a check",
       {plain,
        "CREATE FUNCTION pg_temp.is_there(of bigint) RETURNS boolean LANGUAGE sql AS 'SELECT of IS NULL OR EXISTS "
        "(SELECT FROM t WHERE a = of)'",
        "ALTER TABLE t ADD CHECK (pg_temp.is_there(p))"}},
      {"a function of a domain's check",
       {plain,
        "CREATE FUNCTION pg_temp.is_there(of bigint) RETURNS boolean LANGUAGE sql AS 'SELECT of IS NULL OR EXISTS "
        "(SELECT FROM t WHERE a = of)'",
        "CREATE DOMAIN pg_temp.child AS bigint CHECK (pg_temp.is_there(VALUE))",
        "ALTER TABLE t ALTER p TYPE pg_temp.child"}},
  };
  return ways;
}

TEST_F(postgres_dependent_rows, are_stored_beside_a_refused_one) {
  with_connection([](connection& c) -> task<> {
    for (const dependence& way : ways_to_depend())
      for (std::size_t count : {33, 700})
        for (bool wants_ids : {false, true}) {
          for (const std::string& sql : way.made) co_await c.execute(sql);
          const table_definition into{way.into, "id", {{"a", column_type::integer}, {"p", column_type::integer}}, {}};
          row_batch rows(2);
          for (std::size_t i = 0; i < count; ++i) {
            rows.add_integer(i == 10 ? 2'000'000 : static_cast<std::int64_t>(i));
            if (i == count - 1)
              rows.add_integer(9);
            else if (i == count / 2)
              rows.add_integer(3);
            else
              rows.add_null();
            rows.commit_row();
          }
          batch_report report;
          report.wants_ids = wants_ids;
          co_await c.insert_batch(into, rows, report);
          for (std::size_t row = 0; row < count; ++row)
            EXPECT_EQ(report.rows.at(row).what, row == 10 ? status::refused : status::stored)
                << way.by << ": row " << row << " of " << count << ", " << report.method;
          result stored = co_await c.query("SELECT count(*) FROM t");
          EXPECT_EQ(stored.rows.at(0).at(0), value(static_cast<std::int64_t>(count - 1)));
          co_await c.reset();
        }
  });
}

TEST_F(postgres_dependent_rows, are_duplicates_where_their_key_was_there_before) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, a bigint UNIQUE, p bigint, v bigint CHECK (v > 0))");
    co_await c.execute(with_parent("RAISE 'no such parent';"));
    co_await c.execute("CREATE TRIGGER judging BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.judge()");
    co_await c.execute("INSERT INTO t (a, v) VALUES (1000, 1)");
    const table_definition into{
        "t", "id", {{"a", column_type::integer}, {"p", column_type::integer}, {"v", column_type::integer}}, {"a"}};
    row_batch rows(3);
    for (std::int64_t i = 0; i < 257; ++i) {
      bool is_last = i == 256;
      rows.add_integer(is_last ? 1'000 : i);
      is_last ? rows.add_integer(5) : rows.add_null();
      rows.add_integer(i == 3 ? -1 : 1);
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(into, rows, report);
    EXPECT_EQ(report.rows.at(3).what, status::refused);
    EXPECT_EQ(report.rows.at(256).what, status::duplicate);
    EXPECT_EQ(report.rows.at(256).refusal, -1);
  });
}

// Whether the first of a key was dropped shows only when all others have gone in.
TEST_F(postgres_dependent_rows, are_stored_behind_a_repeat_of_one_that_a_trigger_drops) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, a bigint UNIQUE, p bigint REFERENCES t (a), v bigint)");
    co_await c.execute(
        "CREATE FUNCTION pg_temp.judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v = 8 THEN RETURN NULL; "
        "END IF; RETURN NEW; END $$");
    co_await c.execute("CREATE TRIGGER judging BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.judge()");
    const table_definition into{
        "t", "id", {{"a", column_type::integer}, {"p", column_type::integer}, {"v", column_type::integer}}, {"a"}};
    row_batch rows(3);
    auto add = [&](std::int64_t a, bool of_one, std::int64_t v) {
      rows.add_integer(a);
      of_one ? rows.add_integer(1) : rows.add_null();
      rows.add_integer(v);
      rows.commit_row();
    };
    add(1, false, 8);
    add(1, false, 1);
    add(2, true, 1);
    batch_report report;
    co_await c.insert_batch(into, rows, report);
    EXPECT_EQ(report.rows.at(0).what, status::refused);
    EXPECT_EQ(report.rows.at(1).what, status::stored);
    EXPECT_EQ(report.rows.at(2).what, status::stored);
    EXPECT_EQ(report.rows.at(2).refusal, -1);
    result stored = co_await c.query("SELECT id FROM t ORDER BY a");
    EXPECT_EQ(stored.rows.at(1).at(0), value(report.rows.at(2).id));
  });
}

}  // namespace
}  // namespace penstock::db
