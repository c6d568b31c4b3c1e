#include "own_server.h"
#include "patience.h"
#include <penstock/db/row_batch.h>

#include <functional>
#include <vector>

// A MariaDB that is made read-only while sessions are open, as the one that another is to take over from, for an
// account that may write nevertheless.

namespace penstock::db {
namespace {

class own_mariadb : public own_server_test {
 protected:
  task<std::unique_ptr<connection>> connect(std::string options = {}) const {
    return database(patient(url_ + options)).connect();
  }
  // Of a session that was opened before, with what it had begun, when the server is read-only.
  void expect_once_read_only(std::function<task<>(connection&)> before, std::function<task<>(connection&)> once,
                             std::int64_t stored, std::string options = {}) {
    start();
    auto main = [&]() -> task<> {
      task<std::unique_ptr<connection>> connecting = connect("?target=any");
      std::unique_ptr<connection> admin = co_await std::move(connecting);
      co_await admin->execute("CREATE TABLE t (n BIGINT)");
      task<std::unique_ptr<connection>> connecting_too = connect(options);
      std::unique_ptr<connection> c = co_await std::move(connecting_too);
      co_await c->begin();
      co_await c->commit();
      task<> preparing = before(*c);
      co_await std::move(preparing);
      co_await admin->execute("SET GLOBAL read_only = 1");
      task<> trying = once(*c);
      co_await std::move(trying);
      result found = co_await admin->query("SELECT count(*) FROM t");
      EXPECT_EQ(found.rows.at(0).at(0), value(stored));
    };
    net::run(main());
  }

  static task<std::optional<db_errc>> failure_of(task<void> doing) {
    try {
      co_await std::move(doing);
    } catch (const database_error& e) {
      co_return e.errc();
    }
    co_return std::nullopt;
  }
  static task<> nothing(connection&) { co_return; }
  static task<> insert_in_transaction(connection& c) {
    co_await c.begin();
    co_await c.execute("INSERT INTO t VALUES (1)");
  }
};

TEST_P(own_mariadb, that_is_made_read_only_begins_no_transaction_of_an_open_session) {
  auto once = [](connection& c) -> task<> {
    std::optional<db_errc> failed = co_await failure_of(c.begin());
    EXPECT_EQ(failed, db_errc::read_only);
    EXPECT_EQ(c.state(), session_state::dead);
  };
  expect_once_read_only(nothing, once, 0);
}

TEST_P(own_mariadb, that_is_made_read_only_begins_none_for_a_session_that_is_to_get_no_rows) {
  auto before = [](connection& c) -> task<> { co_await c.execute("SET sql_select_limit = 0"); };
  auto once = [](connection& c) -> task<> {
    std::optional<db_errc> failed = co_await failure_of(c.begin());
    EXPECT_EQ(failed, db_errc::read_only);
  };
  expect_once_read_only(before, once, 0);
}

TEST_P(own_mariadb, that_is_made_read_only_takes_no_batch_of_an_open_session) {
  auto once = [](connection& c) -> task<> {
    const table_definition table{"t", "", {{"n", column_type::integer}}, {}};
    opening_statement first{"INSERT INTO t VALUES (2)", {}};
    row_batch rows(1);
    rows.add_integer(1);
    rows.commit_row();
    batch_report report;
    std::optional<db_errc> failed = co_await failure_of(c.begin_batch(first, table, rows, report));
    EXPECT_EQ(failed, db_errc::read_only);
    EXPECT_EQ(c.state(), session_state::dead);
  };
  expect_once_read_only(nothing, once, 0);
}

// It may be there, and not on the server that takes over.
TEST_P(own_mariadb, that_is_made_read_only_meanwhile_answers_no_commit) {
  auto once = [](connection& c) -> task<> {
    std::optional<db_errc> failed = co_await failure_of(c.commit());
    EXPECT_EQ(failed, db_errc::ambiguous_commit);
    EXPECT_EQ(c.state(), session_state::dead);
  };
  expect_once_read_only(insert_in_transaction, once, 1);
}

TEST_P(own_mariadb, that_is_made_read_only_goes_on_for_a_session_with_any_server) {
  auto once = [](connection& c) -> task<> {
    co_await c.commit();
    task<> inserting = insert_in_transaction(c);
    co_await std::move(inserting);
    co_await c.commit();
    EXPECT_EQ(c.state(), session_state::clean);
  };
  expect_once_read_only(insert_in_transaction, once, 2, "?target=any");
}

INSTANTIATE_TEST_SUITE_P(of, own_mariadb, ::testing::Values(all_server_kinds[0]), name_of_kind);

}  // namespace
}  // namespace penstock::db
