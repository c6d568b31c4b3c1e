#include "postgres_rows.h"
#include "server_fixture.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <bit>
#include <optional>
#include <string>

#include <gtest/gtest.h>

// A row or two of a batch that the server drops or refuses, however many others there are: some hundred go by COPY.

namespace penstock::db {
namespace {

class postgres_few_rows_of_many : public server_test {
 protected:
  postgres_few_rows_of_many() : server_test("TESTED_POSTGRESQL") {}
};

// Nobody would know that they are not there.
TEST_F(postgres_few_rows_of_many, that_a_trigger_drops_fail_a_batch_without_a_key_as_a_whole) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k bigint)");
    co_await c.execute(trigger_function("IF NEW.k = -1 THEN RETURN NULL; END IF;"));
    co_await c.execute(judging("t"));
    for (std::int64_t good : {0, 40, 700})
      for (bool wants_ids : {true, false}) {
        row_batch rows = numbers(-1, good);
        batch_report report;
        report.wants_ids = wants_ids;
        std::optional<db_errc> failed = co_await batch_failure(c, table, rows, report);
        EXPECT_EQ(failed, db_errc::other) << good << " beside it, " << report.method;
        result stored = co_await c.query("SELECT count(*) FROM t");
        EXPECT_EQ(stored.rows.at(0).at(0), value(std::int64_t{0})) << good << " beside it";
      }
  });
}

// The row whose number it has is refused itself, but only at the end of its statement.
TEST_F(postgres_few_rows_of_many, that_have_a_number_of_a_refused_one_are_stored_in_its_place) {
  const table_definition into{"t", "id", {{"no", column_type::integer}, {"parent", column_type::integer}}, {}};
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE parents (no bigint PRIMARY KEY)");
    co_await c.execute(
        "CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, no bigint UNIQUE, parent bigint REFERENCES parents)");
    for (std::int64_t count : {40, 700}) {
      row_batch rows(2);
      for (std::int64_t i = 0; i < count; ++i) {
        rows.add_integer(i == 30 ? 20 : i);
        i == 20 ? rows.add_integer(1) : rows.add_null();
        rows.commit_row();
      }
      batch_report report;
      co_await c.insert_batch(into, rows, report);
      for (std::size_t i = 0; i < rows.rows(); ++i)
        EXPECT_EQ(report.rows.at(i).what, i == 20 ? status::refused : status::stored) << i << " of " << count;
      co_await c.execute("DELETE FROM t");
    }
  });
}

// Of the same bits, as they are held.
TEST_F(postgres_few_rows_of_many, whose_keys_are_numbers_of_different_kinds_are_no_repeats) {
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k numeric UNIQUE)");
    row_batch rows(1);
    rows.add_integer(std::bit_cast<std::int64_t>(1.5));
    rows.commit_row();
    rows.add_real(1.5);
    rows.commit_row();
    batch_report report;
    co_await c.insert_batch(keyed, rows, report);
    for (const row_outcome& outcome : report.rows) EXPECT_EQ(outcome.what, status::stored);
    result stored = co_await c.query("SELECT count(*) FROM t");
    EXPECT_EQ(stored.rows.at(0).at(0), value(std::int64_t{2}));
  });
}

// Of its own key it is no repeat: the one before it was refused.
TEST_F(postgres_few_rows_of_many, that_repeat_a_refused_one_and_meet_another_tables_key_are_refused) {
  const table_definition into{"t", "id", {{"k", column_type::integer}, {"n", column_type::integer}}, {"k"}};
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k bigint UNIQUE, n bigint CHECK (n > 0))");
    co_await c.execute(trigger_function("IF NEW.n = 7 THEN RAISE unique_violation; END IF;"));
    co_await c.execute(judging("t"));
    for (std::int64_t good : {0, 40, 700}) {
      row_batch rows(2);
      for (std::int64_t n : {-1, 7}) {
        rows.add_integer(-1);
        rows.add_integer(n);
        rows.commit_row();
      }
      for (std::int64_t i = 0; i < good; ++i) {
        rows.add_integer(i);
        rows.add_integer(1);
        rows.commit_row();
      }
      batch_report report;
      co_await c.insert_batch(into, rows, report);
      for (std::size_t i = 0; i < rows.rows(); ++i)
        EXPECT_EQ(report.rows.at(i).what, i < 2 ? status::refused : status::stored) << i << " beside " << good;
      co_await c.execute("DELETE FROM t");
    }
  });
}

}  // namespace
}  // namespace penstock::db
