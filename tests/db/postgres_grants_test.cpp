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

// Another account's table, with rights to no column but one; rolled back in the end.
task<void> make_tables_of_another(connection& c) {
  const std::string statements[] = {
      "CREATE ROLE penstock_without_ids",
      "CREATE TABLE limited_plain (id bigserial PRIMARY KEY, k bigint)",
      "CREATE TABLE limited_keyed (id bigserial PRIMARY KEY, k bigint UNIQUE)",
      "GRANT SELECT, INSERT (k) ON limited_plain, limited_keyed TO penstock_without_ids",
      "GRANT USAGE ON SEQUENCE limited_plain_id_seq, limited_keyed_id_seq TO penstock_without_ids",
  };
  for (const std::string& sql : statements) {
    task<std::uint64_t> making = c.execute(sql);
    co_await std::move(making);
  }
}

const std::vector<table_definition> tables_of_another = {{"limited_plain", "id", {{"k", column_type::integer}}, {}},
                                                         {"limited_keyed", "id", {{"k", column_type::integer}}, {"k"}}};

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
  for (const table_definition& into : tables_of_another)
    for (bool wants_ids : {true, false})
      with_connection([&](connection& c) -> task<> {
        co_await c.begin();
        co_await make_tables_of_another(c);
        co_await c.execute("SET ROLE penstock_without_ids");
        std::int64_t from = 0;
        for (std::int64_t count : {1, 40, 600}) {
          EXPECT_EQ(co_await insert_numbers(c, into, from, from + count, wants_ids), static_cast<std::size_t>(count));
          from += count;
        }
        co_await c.rollback();
      });
}

TEST_F(postgres_grants, an_account_that_may_give_no_ids_is_told) {
  with_connection([](connection& c) -> task<> {
    co_await c.begin();
    co_await make_tables_of_another(c);
    co_await c.execute("SET ROLE penstock_without_ids");
    expected_load load;
    load.tables = {{"limited_plain", {"SELECT", "INSERT"}}};
    task<std::vector<finding>> examining = c.examine(load);
    std::vector<finding> found = co_await std::move(examining);
    std::vector<std::string> changes;
    for (const finding& f : found)
      if (f.what == "no right to INSERT in column id of table \"limited_plain\"") changes.push_back(f.change);
    EXPECT_EQ(changes, std::vector<std::string>{"GRANT INSERT (id) ON \"limited_plain\" TO this account"});
    co_await c.rollback();
  });
}

TEST_F(postgres_grants, a_right_to_give_ids_that_is_taken_away_fails_no_batch) {
  with_connection([this](connection& c) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(url()).connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await c.execute("DROP TABLE IF EXISTS limited_plain, limited_keyed");
    co_await c.execute("DROP ROLE IF EXISTS penstock_without_ids");
    co_await make_tables_of_another(c);
    for (const table_definition& into : tables_of_another)
      for (std::int64_t count : {40, 600}) {
        co_await c.execute("GRANT INSERT (id) ON " + into.name + " TO penstock_without_ids");
        co_await other->execute("SET ROLE penstock_without_ids");
        row_batch before = numbers(count, 2 * count);
        row_batch after = numbers(2 * count, 3 * count);
        batch_report report;
        std::string failed;
        try {
          co_await other->insert_batch(into, before, report);
          co_await c.execute("REVOKE INSERT (id) ON " + into.name + " FROM penstock_without_ids");
          co_await other->insert_batch(into, after, report);
        } catch (const database_error& e) {
          failed = e.message();
        }
        EXPECT_EQ(failed, "") << into.name << ", " << count;
        co_await c.execute("DELETE FROM " + into.name);
        co_await other->reset();
      }
    co_await c.execute("DROP TABLE limited_plain, limited_keyed");
    co_await c.execute("DROP ROLE penstock_without_ids");
  });
}

}  // namespace
}  // namespace penstock::db
