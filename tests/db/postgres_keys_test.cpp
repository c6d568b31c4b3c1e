#include "server_fixture.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

// Rows that are found by their key, whatever the server knows of the table.

namespace penstock::db {
namespace {

// GCC 12 does not compile a braced list inside a co_await.
template <class... T>
std::vector<std::string> list(T... text) {
  return {std::string(text)...};
}

class postgres_keys : public server_test {
 protected:
  postgres_keys() : server_test("TESTED_POSTGRESQL") {}

  // In a schema of the session's own, which is gone with it.
  static table_definition parcels() {
    return {"pg_temp.parcels",
            "id",
            {{"sender", column_type::text, true}, {"label", column_type::text, true}},
            {"sender", "label"}};
  }

  static task<void> make(connection& c, std::string label_type = "text") {
    std::string sql =
        "CREATE TEMPORARY TABLE parcels (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, sender text, "
        "label " +
        label_type + ", UNIQUE (sender, label))";
    task<std::uint64_t> making = c.execute(std::move(sql));
    co_await std::move(making);
  }

  static task<void> add(connection& c, std::string prefix, int count) {
    task<std::uint64_t> adding =
        c.execute("INSERT INTO parcels (sender, label) SELECT 'first', ? || i FROM generate_series(1, ?::integer) AS i",
                  parameters_of(std::move(prefix), count));
    co_await std::move(adding);
  }

  static task<std::size_t> find(connection& c, std::vector<std::string> labels) {
    const table_definition table = parcels();
    task<result> finding = c.find_by_key(table, {"id", "label"}, parameters_of("first"), std::move(labels));
    result found = co_await std::move(finding);
    co_return found.rows.size();
  }

  static task<std::string> ask(connection& c, std::string sql) {
    task<result> asking = c.query(std::move(sql));
    result found = co_await std::move(asking);
    co_return std::get<std::string>(found.rows.at(0).at(0));
  }

  // Rows of the table, and entries of its indexes, that this transaction has read so far.
  static task<std::int64_t> rows_read(connection& c) {
    task<result> asking = c.query(
        "SELECT (SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'parcels'::regclass) "
        "+ "
        "(SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid)) FROM pg_index WHERE indrelid = 'parcels'::regclass)"
        "::bigint");
    result found = co_await std::move(asking);
    co_return std::get<std::int64_t>(found.rows.at(0).at(0));
  }
};

// How a table was when the session's plans were made: never analyzed and empty, or analyzed with a few rows.
TEST_F(postgres_keys, are_looked_up_singly_once_a_small_table_has_grown) {
  for (bool is_analyzed : {false, true}) {
    with_connection([is_analyzed](connection& c) -> task<> {
      co_await make(c);
      if (is_analyzed) {
        co_await add(c, "few ", 5);
        co_await c.execute("ANALYZE parcels");
      }
      std::vector<std::string> labels;
      for (int i = 0; i < 64; ++i) labels.push_back("none " + std::to_string(i));
      for (int transactions = 0; transactions < 10; ++transactions) {
        co_await c.begin();
        EXPECT_EQ(co_await find(c, labels), 0u);
        co_await c.commit();
      }
      co_await add(c, "many ", 20'000);
      for (int i = 1; i <= 7; ++i) labels.push_back("many " + std::to_string(i * 1'000));
      co_await c.begin();
      std::int64_t before = co_await rows_read(c);
      EXPECT_EQ(co_await find(c, labels), 7u);
      std::int64_t read = co_await rows_read(c) - before;
      EXPECT_GE(read, 7) << is_analyzed;
      EXPECT_LE(read, 14) << is_analyzed;  // each by the index and from the table
      co_await c.commit();
    });
  }
}

// What a user's trigger runs in the same transaction has the plans of this.
TEST_F(postgres_keys, leave_the_settings_of_plans_as_they_were) {
  with_connection([](connection& c) -> task<> {
    co_await make(c);
    std::string show = "SHOW enable_seqscan";
    for (bool is_on : {true, false}) {
      const std::string set_to = is_on ? "on" : "off";
      const std::string other = is_on ? "off" : "on";
      co_await c.execute("SET enable_seqscan = " + set_to);
      EXPECT_EQ(co_await find(c, list("a")), 0u);
      EXPECT_EQ(co_await ask(c, show), set_to);
      co_await c.begin();
      EXPECT_EQ(co_await find(c, list("a")), 0u);
      EXPECT_EQ(co_await ask(c, show), set_to);
      co_await c.execute("SET LOCAL enable_seqscan = " + other);
      EXPECT_EQ(co_await find(c, list("a")), 0u);
      EXPECT_EQ(co_await ask(c, show), other);
      co_await c.commit();
      EXPECT_EQ(co_await ask(c, show), set_to);
    }
  });
}

// As in the table that somebody made for their keys.
TEST_F(postgres_keys, may_be_of_another_type_than_text) {
  const std::string known = "6b1c7a52-3d0e-4b7e-9a43-0d3a3c1f2e11";
  for (const char* type : {"varchar(100)", "uuid"}) {
    with_connection([type, &known](connection& c) -> task<> {
      co_await make(c, type);
      co_await c.execute("INSERT INTO parcels (sender, label) VALUES ('first', ?)", parameters_of(known));
      std::vector<std::string> labels{known, "00000000-0000-0000-0000-000000000000"};
      for (int again = 0; again < 7; ++again) EXPECT_EQ(co_await find(c, labels), 1u) << type;
    });
  }
}

TEST_F(postgres_keys, are_found_by_the_statement_of_before_when_the_table_has_changed) {
  with_connection([](connection& c) -> task<> {
    co_await make(c);
    co_await add(c, "a ", 3);
    EXPECT_EQ(co_await find(c, list("a 1", "a 4")), 1u);
    co_await c.execute("ALTER TABLE parcels ALTER label TYPE varchar(50), ALTER id TYPE integer");
    EXPECT_EQ(co_await find(c, list("a 2", "a 3")), 2u);
    co_await c.execute("DEALLOCATE ALL");
    EXPECT_EQ(co_await find(c, list("a 2", "a 4")), 1u);
  });
}

// Those that the query gives to what it is made of.
TEST_F(postgres_keys, rows_are_found_in_tables_of_any_name) {
  with_connection([&](connection& c) -> task<> {
    for (const char* name :
         {"penstock_types", "penstock_kinds", "penstock_listed", "penstock_found", "penstock_table"}) {
      const table_definition table{name,
                                   "",
                                   {{"penstock_listed", column_type::text, true}, {"key", column_type::text, true}},
                                   {"penstock_listed", "key"}};
      co_await c.execute("CREATE TEMPORARY TABLE " + table.name +
                         " (penstock_listed text, key text, UNIQUE "
                         "(penstock_listed, key))");
      co_await c.execute("INSERT INTO " + table.name + " VALUES ('a', '1'), ('a', '2'), ('b', '2')");
      std::vector<std::string> columns = list("key", "penstock_listed");
      std::vector<std::string> keys = list("2", "3");
      result found = co_await c.find_by_key(table, columns, parameters_of("a"), keys);
      EXPECT_EQ(found.rows.size(), 1u) << name;
      EXPECT_EQ(found.rows.at(0).at(0), value("2")) << name;
      EXPECT_EQ(found.rows.at(0).at(1), value("a")) << name;
    }
  });
}

}  // namespace
}  // namespace penstock::db
