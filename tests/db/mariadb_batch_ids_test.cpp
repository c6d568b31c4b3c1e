#include "mariadb_batch.h"
#include <penstock/async/gather.h>

#include <array>

// The ids of many rows, which the server is not asked for one by one.

namespace penstock::db {
namespace {

class mariadb_batch_ids : public batch_test {
 protected:
  // A row whose name ends in 1500 waits for a lock, as long as another session holds it.
  std::string trigger_sql() const {
    return "CREATE TRIGGER pause BEFORE INSERT ON t FOR EACH ROW SET NEW.code = "
           "IF(NEW.name LIKE '%1500', NULLIF(GET_LOCK('" +
           name_ + "', 60), RELEASE_LOCK('" + name_ + "')), NULL)";
  }

  static task<void> see_waiting(connection& c, value session) {
    const std::string sql = "SELECT count(*) FROM information_schema.processlist WHERE state = 'User lock' AND id = ?";
    for (value waits = std::int64_t{0}; waits != value(std::int64_t{1});) {
      task<value> asking = ask(c, sql, parameters(1, session));
      waits = co_await std::move(asking);
    }
  }
};

// The rows are so many that the server reserves ids for them several times, and another session's row comes in between.
TEST_F(mariadb_batch_ids, are_those_of_the_rows_when_a_row_of_another_session_is_among_them) {
  if (is_mysql()) GTEST_SKIP() << "MySQL has no array binding";
  auto body = [&](connection& c) -> task<> {
    task<std::unique_ptr<connection>> connecting = connect("");
    std::unique_ptr<connection> large = co_await std::move(connecting);
    value session = co_await ask(*large, "SELECT connection_id()");
    co_await c.execute(trigger_sql());
    for (std::size_t round = 0; round < 3; ++round) {
      const std::string prefix = std::to_string(round) + "/";
      row_batch rows(3);
      add_good(rows, 3'000, prefix);
      batch_report report;
      co_await ask(c, "SELECT GET_LOCK(?, 0)", parameters_of(name_));
      auto meanwhile = [&]() -> task<void> {
        task<void> seeing = see_waiting(c, session);
        co_await std::move(seeing);
        co_await c.execute("INSERT INTO t(n, name) VALUES (0, ?)", parameters_of(prefix + "between"));
        co_await ask(c, "SELECT RELEASE_LOCK(?)", parameters_of(name_));
      };
      task<void> inserting = large->insert_batch(table, rows, report);
      task<void> interfering = meanwhile();
      co_await gather(std::move(inserting), std::move(interfering));
      EXPECT_EQ(report.method, "bulk");
      EXPECT_TRUE(report.refusals.empty());
      task<void> checking = expect_stored(c, rows, report, 3'001 * round + 1);
      co_await std::move(checking);
    }
  };
  with_table(body, "");
}

TEST_F(mariadb_batch_ids, are_known_of_many_rows_in_few_round_trips) {
  if (is_mysql()) GTEST_SKIP() << "MySQL has no array binding";
  auto body = [&](connection& c) -> task<> {
    for (int round = 0; round < 2; ++round) {
      row_batch rows(3);
      add_good(rows, 3'000, std::to_string(round) + "/");
      batch_report report;
      co_await c.insert_batch(table, rows, report);
      EXPECT_LE(report.round_trips, 5u);
      task<void> checking = expect_stored(c, rows, report, 3'000 * static_cast<std::size_t>(round));
      co_await std::move(checking);
    }
  };
  with_table(body, "");
}

TEST_F(mariadb_batch_ids, are_not_asked_for_when_nobody_wants_them) {
  if (is_mysql()) GTEST_SKIP() << "MySQL has no array binding";
  auto body = [&](connection& c) -> task<> {
    for (int round = 1; round <= 2; ++round) {
      row_batch rows(3);
      add_good(rows, 3'000, std::to_string(round) + "/");
      batch_report report;
      report.wants_ids = false;
      co_await c.begin();
      task<void> inserting = c.insert_rows(table, rows, report);
      co_await std::move(inserting);
      co_await c.commit();
      EXPECT_EQ(report.method, "bulk");
      EXPECT_LE(report.round_trips, 2u);  // the first one prepares the statement
      EXPECT_EQ(co_await ask(c, "SELECT count(*) FROM t"), value(std::int64_t{3'000} * round));
    }
  };
  with_table(body, "");
}

// Over TCP the end of the rows is held back until it is the session's turn; a Unix socket can't do that.
TEST_F(mariadb_batch_ids, are_right_for_sessions_that_take_turns_on_tcp_and_on_a_unix_socket) {
  auto body = [&](connection& c) -> task<> {
    value socket = co_await ask(c, "SELECT @@socket");
    const std::string account = server_.substr(0, server_.find('@') + 1);
    const std::array<std::string, 2> roads{url(), account + "/" + name_ + "?socket=" + std::get<std::string>(socket)};
    for (const std::string& road : roads) {
      co_await c.execute("DELETE FROM t");
      auto writer = [&](std::string prefix) -> task<void> {
        database home(road);
        task<std::unique_ptr<connection>> connecting = home.connect();
        std::unique_ptr<connection> mine = co_await std::move(connecting);
        row_batch rows(3);
        add_good(rows, 2'500, prefix);
        batch_report report;
        co_await mine->insert_batch(table, rows, report);
        EXPECT_TRUE(report.refusals.empty());
        for (std::size_t r = 0; r < rows.rows(); r += 100) {
          value name = co_await ask(*mine, "SELECT name FROM t WHERE id = ?", parameters_of(report.rows[r].id));
          EXPECT_EQ(name, value(std::string(rows.row(r)[1].text())));
        }
      };
      std::vector<task<void>> writers;
      for (const char* prefix : {"a", "b", "c"}) writers.push_back(writer(prefix));
      co_await gather(std::move(writers));
      value count = co_await ask(c, "SELECT count(*) FROM t");
      EXPECT_EQ(count, value(std::int64_t{3 * 2'500})) << road;
    }
  };
  with_table(body, "");
}

}  // namespace
}  // namespace penstock::db
