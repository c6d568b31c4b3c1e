#include "memory_database.h"
#include <penstock/db/error.h>
#include <penstock/db/transaction.h>

#include <string>

#include <gtest/gtest.h>

// Transactions that SQLite rolls back by itself.

namespace penstock::db {
namespace {

// What comes behind a statement for which SQLite has rolled the transaction back would be stored by itself.
TEST(sqlite, a_transaction_that_was_rolled_back_in_its_midst_stores_nothing_more) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE account(name TEXT PRIMARY KEY, sum INTEGER)");
    co_await c.execute("INSERT INTO account VALUES ('ann', 100), ('bob', 0)");
    auto body = [](connection& inside) -> task<> {
      co_await inside.execute("UPDATE account SET sum = 70 WHERE name = 'ann'");
      bool failed = false;
      try {
        co_await inside.execute("INSERT OR ROLLBACK INTO account VALUES ('ann', 1)");
      } catch (const database_error&) {
        failed = true;
      }
      EXPECT_TRUE(failed);
      EXPECT_EQ(inside.state(), session_state::dirty);
      co_await inside.execute("UPDATE account SET sum = 30 WHERE name = 'bob'");
    };
    std::string told;
    try {
      task<void> moving = transaction(c, body);
      co_await std::move(moving);
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::constraint);
      told = e.message();
    }
    EXPECT_NE(told.find("the transaction was rolled back: "), std::string::npos) << told;
    EXPECT_EQ(c.state(), session_state::clean);
    result sums = co_await c.query("SELECT sum FROM account ORDER BY name");
    EXPECT_EQ(sums.rows.at(0).at(0), value(std::int64_t{100}));
    EXPECT_EQ(sums.rows.at(1).at(0), value(std::int64_t{0}));
  });
}

TEST(sqlite, a_session_whose_transaction_was_rolled_back_is_as_new_after_a_rollback) {
  with_memory_database([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INTEGER PRIMARY KEY)");
    co_await c.begin();
    co_await c.execute("INSERT INTO t VALUES (1)");
    bool failed = false;
    try {
      co_await c.execute("INSERT OR ROLLBACK INTO t VALUES (1)");
    } catch (const database_error&) {
      failed = true;
    }
    EXPECT_TRUE(failed);
    failed = false;
    try {
      co_await c.commit();
    } catch (const database_error&) {
      failed = true;
    }
    EXPECT_TRUE(failed);
    co_await c.rollback();
    co_await c.execute("INSERT INTO t VALUES (2)");
    result all = co_await c.query("SELECT n FROM t");
    EXPECT_EQ(all.rows.size(), 1u);
  });
}

}  // namespace
}  // namespace penstock::db
