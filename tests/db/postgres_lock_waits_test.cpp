#include "server_fixture.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

// Batches of several parts, all of which need a lock that another session holds.

namespace penstock::db {
namespace {

class postgres_lock_waits : public server_test {
 protected:
  postgres_lock_waits() : server_test("TESTED_POSTGRESQL") {}

  // Stores the rows in vain while `other` has its locks, and then once more. Gives how many rows were tried in vain:
  // what is undone does not give its ids back.
  static task<std::int64_t> insert_behind(connection& other, connection& c, const table_definition& into,
                                          const row_batch& rows, batch_report& report) {
    co_await c.begin_for_batches();
    std::optional<db_errc> failed;
    try {
      co_await c.insert_rows(into, rows, report);
    } catch (const database_error& e) {
      failed = e.errc();
    }
    EXPECT_EQ(failed, db_errc::lock_timeout);
    co_await c.rollback();
    task<result> asking = c.query("SELECT last_value FROM t_id_seq");
    result tried = co_await std::move(asking);
    co_await other.rollback();
    co_await c.begin_for_batches();
    co_await c.insert_rows(into, rows, report);
    co_await c.commit();
    co_return std::get<std::int64_t>(tried.rows.at(0).at(0));
  }
};

TEST_F(postgres_lock_waits, are_of_the_first_part_that_needs_the_lock_alone) {
  with_connection([&](connection& c) -> task<> {
    const std::string schema = "lock_waits_" + std::to_string(getpid());
    co_await c.execute("CREATE SCHEMA " + schema);
    co_await c.execute("SET search_path TO " + schema);
    co_await c.execute("CREATE TABLE parent (id bigint PRIMARY KEY)");
    co_await c.execute("INSERT INTO parent VALUES (1)");
    co_await c.execute("CREATE TABLE t (id bigserial, k bigint UNIQUE, parent bigint REFERENCES parent)");
    database server(patient(url()));
    task<std::unique_ptr<connection>> connecting = server.connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await other->begin();
    co_await other->query("SELECT id FROM " + schema + ".parent FOR UPDATE");
    row_batch rows(2);
    for (std::int64_t k = 0; k < 3'000; ++k) {
      rows.add_integer(k);
      rows.add_integer(1);
      rows.commit_row();
    }
    const table_definition into{
        "t", "id", {{"k", column_type::integer, true}, {"parent", column_type::integer, true}}, {"k"}};
    co_await c.limit_lock_waits(std::chrono::milliseconds(20));
    batch_report report;
    task<std::int64_t> inserting = insert_behind(*other, c, into, rows, report);
    std::int64_t tried_in_vain = co_await std::move(inserting);
    EXPECT_LT(tried_in_vain, 1'000);
    task<result> counting = c.query("SELECT count(*) FROM t");
    result stored = co_await std::move(counting);
    EXPECT_EQ(std::get<std::int64_t>(stored.rows.at(0).at(0)), 3'000);
    co_await c.execute("DROP SCHEMA " + schema + " CASCADE");
  });
}

// Then the trip goes on behind parts that fail. Of those behind the first lock none may wait, nor be tried.
TEST_F(postgres_lock_waits, are_of_one_part_however_many_rows_were_refused_before) {
  with_connection([&](connection& c) -> task<> {
    const std::string schema = "refused_and_locked_" + std::to_string(getpid());
    co_await c.execute("CREATE SCHEMA " + schema);
    co_await c.execute("SET search_path TO " + schema);
    co_await c.execute("CREATE TABLE t (id bigserial, k bigint UNIQUE, v bigint NOT NULL)");
    database server(patient(url()));
    task<std::unique_ptr<connection>> connecting = server.connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await other->begin();
    const std::string lock = "INSERT INTO " + schema + ".t (id, k, v) SELECT -k, k, 0 FROM ";
    co_await other->execute(lock + "generate_series(300, 2999, 100) AS k");
    row_batch rows(2);
    for (std::int64_t k = 0; k < 3'000; ++k) {
      rows.add_integer(k);
      if (k < 200 && k % 20 == 0)
        rows.add_null();
      else
        rows.add_integer(k);
      rows.commit_row();
    }
    const table_definition into{
        "t", "id", {{"k", column_type::integer, true}, {"v", column_type::integer, true}}, {"k"}};
    co_await c.limit_lock_waits(std::chrono::milliseconds(200));
    batch_report report;
    task<std::int64_t> inserting = insert_behind(*other, c, into, rows, report);
    std::int64_t tried_in_vain = co_await std::move(inserting);
    EXPECT_LT(tried_in_vain, 2'000);
    EXPECT_EQ(report.refusals.size(), 10u);
    task<result> counting = c.query("SELECT count(*) FROM t");
    result stored = co_await std::move(counting);
    EXPECT_EQ(std::get<std::int64_t>(stored.rows.at(0).at(0)), 2'990);
    co_await c.execute("DROP SCHEMA " + schema + " CASCADE");
  });
}

}  // namespace
}  // namespace penstock::db
