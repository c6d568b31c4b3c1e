#include "mariadb_server.h"
#include <penstock/db/row_batch.h>

#include <chrono>
#include <cstdint>

#include <mysqld_error.h>

// Waits for locks where the server has none that is short, as MySQL has not: any server can be taken for such a one.

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

class mariadb_lock_wait : public mariadb_test {
 protected:
  // Runs `body(connection&, connection& other)` where `other` has the row 1 of `t` locked, and `c` is to wait shortly.
  template <class Body>
  void with_locked_row(Body body) {
    auto main = [&]() -> task<> {
      task<std::unique_ptr<connection>> connecting =
          connect_believing([](auto& facts) { facts.is_mariadb = false; }, patient(url()));
      std::unique_ptr<connection> c = co_await std::move(connecting);
      connecting = database(patient(url())).connect();
      std::unique_ptr<connection> other = co_await std::move(connecting);
      co_await other->execute("CREATE TABLE t(id BIGINT PRIMARY KEY, n INT)");
      co_await other->execute("CREATE TABLE child(t BIGINT NOT NULL, FOREIGN KEY (t) REFERENCES t(id))");
      co_await other->execute("INSERT INTO t VALUES (1, 0), (2, 0)");
      co_await other->begin();
      co_await other->query("SELECT * FROM t WHERE id = 1 FOR UPDATE");
      co_await c->limit_lock_waits(2ms);
      task<void> running = body(*c, *other);
      co_await std::move(running);
    };
    net::run(main());
  }

  static task<std::optional<database_error>> error_of(task<std::uint64_t> statement) {
    try {
      co_await std::move(statement);
    } catch (const database_error& e) {
      co_return e;
    }
    co_return std::nullopt;
  }

  static task<std::optional<database_error>> error_of_insertion(connection& c, const row_batch& rows) {
    const table_definition child{"child", "", {{"t", column_type::integer, true}}, {}};
    batch_report report;
    try {
      task<void> inserting = c.insert_rows(child, rows, report);
      co_await std::move(inserting);
    } catch (const database_error& e) {
      co_return e;
    }
    co_return std::nullopt;
  }
};

TEST_F(mariadb_lock_wait, that_is_short_is_ended_from_another_session) {
  with_locked_row([](connection& c, connection& other) -> task<> {
    co_await c.begin();
    co_await c.execute("UPDATE t SET n = 7 WHERE id = 2");
    std::optional<database_error> failed = co_await error_of(c.execute("UPDATE t SET n = 7 WHERE id = 1"));
    EXPECT_TRUE(failed);
    if (!failed) co_return;
    EXPECT_EQ(failed->errc(), db_errc::lock_timeout);
    EXPECT_EQ(failed->server_code(), ER_QUERY_INTERRUPTED);
    EXPECT_NE(failed->message().find("was ended after 100ms"), std::string::npos) << failed->message();
    co_await c.commit();
    co_await other.rollback();
    value sum = co_await ask(other, "SELECT CAST(SUM(n) AS SIGNED) FROM t");
    EXPECT_EQ(sum, value(std::int64_t{7}));
  });
}

TEST_F(mariadb_lock_wait, of_a_batch_is_ended_and_its_rows_go_in_later) {
  with_locked_row([](connection& c, connection& other) -> task<> {
    row_batch rows(1);
    for (std::int64_t parent : {2, 1}) {
      rows.add_integer(parent);
      rows.commit_row();
    }
    co_await c.begin();
    std::optional<database_error> failed = co_await error_of_insertion(c, rows);
    EXPECT_TRUE(failed && failed->errc() == db_errc::lock_timeout);
    co_await c.rollback();
    EXPECT_EQ(c.state(), session_state::clean);
    co_await other.rollback();
    co_await c.begin();
    failed = co_await error_of_insertion(c, rows);
    EXPECT_FALSE(failed);
    co_await c.commit();
    value count = co_await ask(other, "SELECT COUNT(*) FROM child");
    EXPECT_EQ(count, value(std::int64_t{2}));
  });
}

TEST_F(mariadb_lock_wait, that_may_be_long_again_is_left_to_the_server) {
  with_locked_row([](connection& c, connection&) -> task<> {
    co_await c.limit_lock_waits(1s);
    std::optional<database_error> failed = co_await error_of(c.execute("UPDATE t SET n = 7 WHERE id = 1"));
    EXPECT_TRUE(failed);
    if (!failed) co_return;
    EXPECT_EQ(failed->errc(), db_errc::lock_timeout);
    EXPECT_EQ(failed->server_code(), ER_LOCK_WAIT_TIMEOUT);
  });
}

}  // namespace
}  // namespace penstock::db
