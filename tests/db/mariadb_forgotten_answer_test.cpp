#include "mariadb_server.h"
#include "meddling_proxy.h"
#include <penstock/async/timeout.h>
#include <penstock/db/row_batch.h>

#include <chrono>

// Answers that the server has promised, and gives late or not at all: it says nothing of a KILL QUERY that comes
// between two statements of a text.

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

class mariadb_forgotten_answer : public mariadb_test {
 protected:
  static constexpr duration longest = 20s;  // a server that is silent counts as lost after 30
  const table_definition table{"t", "", {{"n", column_type::integer}}, {}};

  static row_batch one_row() {
    row_batch rows(1);
    rows.add_integer(1);
    rows.commit_row();
    return rows;
  }

  static task<std::optional<db_errc>> failure_within_limit(task<void> doing) {
    try {
      task<void> limited = with_timeout(longest, std::move(doing));
      co_await std::move(limited);
    } catch (const database_error& e) {
      co_return e.errc();
    }
    co_return std::nullopt;
  }
};

TEST_F(mariadb_forgotten_answer, ends_the_session_soon) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INT)");
    auto meddle = [&](meddling_proxy& proxy, std::string by_way) -> task<> {
      task<std::unique_ptr<connection>> connecting = database(by_way).connect();
      std::unique_ptr<connection> meddled = co_await std::move(connecting);
      co_await meddled->begin();
      proxy.change_answers([done = false](std::span<char> answer) mutable {
        constexpr std::size_t status = 7;  // behind a header, the kind of the answer, and two numbers
        constexpr char more_results = 8;
        if (!std::exchange(done, true)) answer[status] = static_cast<char>(answer[status] | more_results);
      });
      row_batch rows = one_row();
      batch_report report;
      std::optional<db_errc> failed = co_await failure_within_limit(meddled->insert_rows(table, rows, report));
      EXPECT_EQ(failed, db_errc::connection_lost);
      EXPECT_EQ(meddled->state(), session_state::dead);
    };
    task<void> meddling = with_meddling_proxy(url("tls=off"), meddle);
    co_await std::move(meddling);
    value count = co_await ask(c, "SELECT count(*) FROM t");
    EXPECT_EQ(count, value(std::int64_t{0}));
  });
}

TEST_F(mariadb_forgotten_answer, is_told_from_one_that_takes_long) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INT)");
    co_await c.execute("CREATE TABLE locked(n INT)");
    co_await c.execute("INSERT INTO locked VALUES (0)");
    co_await c.begin();
    co_await c.execute("UPDATE locked SET n = 1");
    task<std::unique_ptr<connection>> connecting = connect({});
    std::unique_ptr<connection> waiting = co_await std::move(connecting);
    co_await waiting->limit_lock_waits(3s);
    opening_statement first{"UPDATE locked SET n = 2", {}};
    row_batch rows = one_row();
    batch_report report;
    std::optional<db_errc> failed = co_await failure_within_limit(waiting->begin_batch(first, table, rows, report));
    EXPECT_EQ(failed, db_errc::lock_timeout);
    EXPECT_EQ(waiting->state(), session_state::dirty);
    co_await waiting->rollback();
    co_await c.rollback();
  });
}

}  // namespace
}  // namespace penstock::db
