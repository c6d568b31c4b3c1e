#include "postgres_rows.h"
#include "server_fixture.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// Accounts that may not do everything.

namespace penstock::db {
namespace {

class postgres_grants : public server_test {
 protected:
  postgres_grants() : server_test("TESTED_POSTGRESQL") {}
};

// Tables of another account, with rights to no column but one, and the role that has these. Roles are the whole
// server's, and tests run beside one another: each names its own.
struct tables_of_another {
  explicit tables_of_another(const std::string& test)
      : role("penstock_" + test),
        plain{test + "_plain", "id", {{"k", column_type::integer}}, {}},
        keyed{test + "_keyed", "id", {{"k", column_type::integer}}, {"k"}} {}

  std::string role;
  table_definition plain;
  table_definition keyed;
};

task<void> make(connection& c, const tables_of_another& those) {
  co_await c.execute("CREATE ROLE " + those.role);
  for (const table_definition* table : {&those.plain, &those.keyed}) {
    const std::string unique = table->unique_key.empty() ? "" : " UNIQUE";
    co_await c.execute("CREATE TABLE " + table->name + " (id bigserial PRIMARY KEY, k bigint" + unique + ")");
    co_await c.execute("GRANT SELECT, INSERT (k) ON " + table->name + " TO " + those.role);
    co_await c.execute("GRANT USAGE ON SEQUENCE " + table->name + "_id_seq TO " + those.role);
  }
}

// Gives how many rows are stored.
task<std::size_t> insert_numbers(connection& c, const table_definition& into, std::int64_t from, std::int64_t to,
                                 bool wants_ids) {
  row_batch rows = numbers(from, to);
  batch_report report;
  report.wants_ids = wants_ids;
  try {
    task<void> inserting = c.insert_rows(into, rows, report);
    co_await std::move(inserting);
  } catch (const database_error& e) {
    ADD_FAILURE() << into.name << ", " << to - from << ": " << e.message();
    co_return 0;
  }
  std::size_t stored = 0;
  for (const row_outcome& row : report.rows) stored += row.what == status::stored && (row.id > 0 || !wants_ids) ? 1 : 0;
  co_return stored;
}

TEST_F(postgres_grants, an_account_that_may_give_no_ids_stores_batches_of_any_size) {
  const tables_of_another those("sized");
  for (const table_definition* into : {&those.plain, &those.keyed})
    for (bool wants_ids : {true, false})
      with_connection([&](connection& c) -> task<> {
        co_await c.begin();  // rolled back in the end
        co_await make(c, those);
        co_await c.execute("SET ROLE " + those.role);
        std::int64_t from = 0;
        for (std::int64_t count : {1, 40, 600}) {
          EXPECT_EQ(co_await insert_numbers(c, *into, from, from + count, wants_ids), static_cast<std::size_t>(count));
          from += count;
        }
        co_await c.rollback();
      });
}

TEST_F(postgres_grants, an_account_that_may_give_no_ids_is_told) {
  const tables_of_another those("told");
  with_connection([&](connection& c) -> task<> {
    co_await c.begin();  // rolled back in the end
    co_await make(c, those);
    co_await c.execute("SET ROLE " + those.role);
    expected_load load;
    load.tables = {{those.plain.name, {"SELECT", "INSERT"}}};
    task<std::vector<finding>> examining = c.examine(load);
    std::vector<finding> found = co_await std::move(examining);
    std::vector<std::string> changes;
    for (const finding& f : found)
      if (f.what == "no right to INSERT in column id of table \"told_plain\"") changes.push_back(f.change);
    EXPECT_EQ(changes, std::vector<std::string>{"GRANT INSERT (id) ON \"told_plain\" TO this account"});
    co_await c.rollback();
  });
}

TEST_F(postgres_grants, a_right_to_give_ids_that_is_taken_away_fails_no_batch) {
  const tables_of_another those("taken");
  const std::string dropping = "DROP TABLE IF EXISTS " + those.plain.name + ", " + those.keyed.name;
  with_connection([&](connection& c) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(url()).connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await c.execute(dropping);
    co_await c.execute("DROP ROLE IF EXISTS " + those.role);
    co_await make(c, those);
    for (const table_definition* into : {&those.plain, &those.keyed})
      for (std::int64_t count : {40, 600}) {
        co_await c.execute("GRANT INSERT (id) ON " + into->name + " TO " + those.role);
        co_await other->execute("SET ROLE " + those.role);
        row_batch before = numbers(count, 2 * count);
        row_batch after = numbers(2 * count, 3 * count);
        batch_report report;
        std::string failed;
        try {
          co_await other->insert_batch(*into, before, report);
          co_await c.execute("REVOKE INSERT (id) ON " + into->name + " FROM " + those.role);
          co_await other->insert_batch(*into, after, report);
        } catch (const database_error& e) {
          failed = e.message();
        }
        EXPECT_EQ(failed, "") << into->name << ", " << count;
        co_await c.execute("DELETE FROM " + into->name);
        co_await other->reset();
      }
    co_await c.execute(dropping);
    co_await c.execute("DROP ROLE " + those.role);
  });
}

}  // namespace
}  // namespace penstock::db
