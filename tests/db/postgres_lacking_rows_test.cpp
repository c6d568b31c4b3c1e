#include "server_fixture.h"
#include <penstock/db/connection.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

// Rows that are stored only beside others of their batch, in whichever order they come.

namespace penstock::db {
namespace {

using status = row_outcome::status;

class postgres_lacking_rows : public server_test {
 protected:
  postgres_lacking_rows() : server_test("TESTED_POSTGRESQL") {}
};

using node = std::pair<std::int64_t, std::optional<std::int64_t>>;  // and its parent

constexpr std::int64_t bad_size = -1;
const std::string tree_sql =
    "CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, no bigint UNIQUE, parent bigint REFERENCES t (no), "
    "size bigint CHECK (size >= 0))";

table_definition tree(bool has_key) {
  table_definition into{
      "t", "id", {{"no", column_type::integer}, {"parent", column_type::integer}, {"size", column_type::integer}}, {}};
  if (has_key) into.unique_key = {"no"};
  return into;
}

std::vector<node> nodes_of_chain(std::int64_t count) {
  std::vector<node> nodes;
  for (std::int64_t i = 0; i < count; ++i) nodes.emplace_back(i, i + 1 < count ? std::optional(i + 1) : std::nullopt);
  return nodes;
}

std::vector<node> nodes_of_tree(std::int64_t count) {
  std::mt19937 random(7);
  std::vector<node> nodes{{0, std::nullopt}};
  for (std::int64_t i = 1; i < count; ++i)
    nodes.emplace_back(i, std::uniform_int_distribution<std::int64_t>(0, i - 1)(random));
  std::shuffle(nodes.begin(), nodes.end(), random);
  return nodes;
}

// Also one that is bad for itself, at a place.
row_batch rows_of(const std::vector<node>& nodes, std::optional<std::size_t> bad = {}) {
  row_batch rows(3);
  for (std::size_t i = 0; i <= nodes.size(); ++i) {
    if (bad == i) {
      rows.add_integer(-5);
      rows.add_null();
      rows.add_integer(bad_size);
      rows.commit_row();
    }
    if (i == nodes.size()) break;
    rows.add_integer(nodes[i].first);
    nodes[i].second ? rows.add_integer(*nodes[i].second) : rows.add_null();
    rows.add_integer(1);
    rows.commit_row();
  }
  return rows;
}

std::vector<std::size_t> refused_of(const batch_report& report) {
  std::vector<std::size_t> refused;
  for (std::size_t row = 0; row < report.rows.size(); ++row)
    if (report.rows[row].what != status::stored) refused.push_back(row);
  return refused;
}

using places = std::vector<std::size_t>;

TEST_F(postgres_lacking_rows, are_all_stored_whatever_their_number_and_order) {
  with_connection([](connection& c) -> task<> {
    for (bool has_key : {false, true})
      for (std::int64_t count : {2, 30, 257, 511, 512, 1'000, 3'000})
        for (bool wants_ids : {false, true}) {
          const table_definition into = tree(has_key);
          for (const std::vector<node>& nodes : {nodes_of_chain(count), nodes_of_tree(count)}) {
            co_await c.execute(tree_sql);
            const row_batch rows = rows_of(nodes);
            batch_report report;
            report.wants_ids = wants_ids;
            co_await c.insert_batch(into, rows, report);
            EXPECT_EQ(refused_of(report), places()) << count << " rows, " << report.method;
            result stored = co_await c.query("SELECT count(*) FROM t");
            EXPECT_EQ(stored.rows.at(0).at(0), value(count));
            co_await c.reset();
          }
        }
  });
}

TEST_F(postgres_lacking_rows, are_all_stored_beside_one_that_is_refused_for_itself) {
  with_connection([](connection& c) -> task<> {
    for (bool has_key : {false, true})
      for (std::int64_t count : {30, 300, 1'000})
        for (std::size_t bad : {std::size_t{0}, static_cast<std::size_t>(count) / 2}) {
          const table_definition into = tree(has_key);
          for (const std::vector<node>& nodes : {nodes_of_chain(count), nodes_of_tree(count)}) {
            co_await c.execute(tree_sql);
            const row_batch rows = rows_of(nodes, bad);
            batch_report report;
            co_await c.insert_batch(into, rows, report);
            EXPECT_EQ(refused_of(report), places{bad}) << count << " rows, " << report.method;
            EXPECT_LE(report.round_trips, 16u) << count << " rows, bad at " << bad << ", " << report.method;
            co_await c.reset();
          }
        }
  });
}

// Which one that is, no statement for all tells.
TEST_F(postgres_lacking_rows, are_stored_beside_one_whose_parent_is_nowhere) {
  with_connection([](connection& c) -> task<> {
    for (std::int64_t count : {30, 300})
      for (const std::vector<node>& wanted : {nodes_of_chain(count), nodes_of_tree(count)}) {
        co_await c.execute(tree_sql);
        std::vector<node> nodes = wanted;
        auto orphan = static_cast<std::size_t>(count / 2);
        nodes.insert(nodes.begin() + count / 2, node(-7, -8));
        const row_batch rows = rows_of(nodes);
        batch_report report;
        const table_definition into = tree(false);
        co_await c.insert_batch(into, rows, report);
        EXPECT_EQ(refused_of(report), places{orphan}) << count << " rows, " << report.method;
        co_await c.reset();
      }
  });
}

TEST_F(postgres_lacking_rows, that_all_lack_one_that_is_nowhere_cost_few_round_trips) {
  with_connection([](connection& c) -> task<> {
    for (std::size_t good : {0, 1}) {
      co_await c.execute(tree_sql);
      std::vector<node> nodes(good, node(0, std::nullopt));
      for (std::int64_t i = 1; i <= 1'000; ++i) nodes.emplace_back(i, -8);
      const row_batch rows = rows_of(nodes);
      batch_report report;
      const table_definition into = tree(false);
      co_await c.insert_batch(into, rows, report);
      EXPECT_EQ(refused_of(report).size(), 1'000u);
      EXPECT_LE(report.round_trips, 20u);
      co_await c.reset();
    }
  });
}

// The first that nothing else is wrong with.
TEST_F(postgres_lacking_rows, with_a_repeated_key_are_stored_in_their_order) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute(tree_sql);
    const row_batch rows = rows_of({{3, 2}, {3, std::nullopt}, {2, 1}, {3, 1}, {1, 0}, {0, std::nullopt}, {9, 8}});
    batch_report report;
    const table_definition into = tree(true);
    co_await c.insert_batch(into, rows, report);
    EXPECT_EQ(report.rows.at(6).what, status::refused);
    result stored = co_await c.query("SELECT count(*) FROM t");
    EXPECT_EQ(stored.rows.at(0).at(0), value(std::int64_t{4}));
    std::size_t of_three = 0;
    for (std::size_t row : {0, 1, 3}) of_three += report.rows.at(row).what == status::stored ? 1 : 0;
    EXPECT_EQ(of_three, 1u);
  });
}

TEST_F(postgres_lacking_rows, that_are_refused_are_no_duplicates_of_a_later_one_with_their_key) {
  with_connection([](connection& c) -> task<> {
    const table_definition into = tree(true);
    co_await c.execute(tree_sql);
    const std::vector<node> nodes{{1, 99}, {1, 98}, {1, 97}, {1, std::nullopt}, {1, std::nullopt}};
    const row_batch rows = rows_of(nodes);
    batch_report report;
    co_await c.insert_batch(into, rows, report);
    std::vector<status> all;
    for (const row_outcome& o : report.rows) all.push_back(o.what);
    EXPECT_EQ(all, (std::vector{status::refused, status::refused, status::refused, status::stored, status::duplicate}));
  });
}

TEST_F(postgres_lacking_rows, of_a_ledger_are_stored_where_its_entries_are_whole) {
  with_connection([](connection& c) -> task<> {
    for (std::int64_t count : {100, 300, 450, 1'000, 3'000})
      for (bool has_bad : {false, true}) {
        co_await c.execute(
            "CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, no bigint, parent bigint, "
            "size bigint CHECK (size < 1000))");
        co_await c.execute(
            "CREATE FUNCTION pg_temp.judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF (SELECT sum(size) FROM t "
            "WHERE no = NEW.no) <> 0 THEN RAISE 'entry % is not whole', NEW.no USING ERRCODE = '23514'; END IF; "
            "RETURN NULL; END $$");
        co_await c.execute("CREATE INDEX ON t (no)");
        co_await c.execute(
            "CREATE CONSTRAINT TRIGGER judging AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
            "EXECUTE FUNCTION pg_temp.judge()");
        row_batch rows(3);
        auto add = [&](std::int64_t no, std::int64_t size) {
          rows.add_integer(no);
          rows.add_null();
          rows.add_integer(size);
          rows.commit_row();
        };
        add(-1, 0);
        if (has_bad) add(-2, 1'000);
        for (std::int64_t i = 0; i < count; ++i) add(i / 2, i % 2 == 0 ? 1 : -1);
        batch_report report;
        const table_definition into = tree(false);
        co_await c.insert_batch(into, rows, report);
        EXPECT_EQ(refused_of(report), has_bad ? places{1} : places()) << count << " rows, " << report.method;
        co_await c.reset();
      }
  });
}

}  // namespace
}  // namespace penstock::db
