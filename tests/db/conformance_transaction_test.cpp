#include "conformance_fixture.h"
#include <penstock/async/yield.h>

// Transactions that are cut short, at whatever step they are.

namespace penstock::db {
namespace {

class conformance_transaction : public conformance_test {};

TEST_P(conformance_transaction, that_is_cancelled_as_it_begins_leaves_its_session_clean) {
  with_connection([](database&, connection& c) -> task<> {
    auto body = [](connection& inside) -> task<> { co_await inside.query("SELECT 1"); };
    for (int turns = 0; turns < 20; ++turns) {
      co_await with_task_group([&](task_group& group) -> task<> {
        group.start(transaction(c, body));
        for (int i = 0; i < turns; ++i) co_await yield();
        group.cancel();
      });
      EXPECT_EQ(c.state(), session_state::clean) << turns;
      task<void> again = transaction(c, body);
      co_await std::move(again);
    }
  });
}

TEST_P(conformance_transaction, that_is_begun_in_another_one_leaves_that_one_as_it_is) {
  with_connection([](database&, connection& c) -> task<> {
    co_await c.begin();
    auto body = [](connection&) -> task<> { co_return; };
    task<std::optional<db_errc>> failing = failure_of(transaction(c, body));
    EXPECT_TRUE((co_await std::move(failing)).has_value());
    EXPECT_EQ(c.state(), session_state::dirty);
    co_await c.commit();
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

TEST_P(conformance_transaction, that_a_statement_has_ended_is_not_called_committed) {
  with_connection([](database&, connection& c) -> task<> {
    table_definition wanted{table_name(), "id", {{"x", column_type::integer, true}}, {}};
    task<void> preparing = c.prepare_table(wanted);
    co_await std::move(preparing);
    co_await c.begin();
    co_await c.execute("INSERT INTO " + quote_identifier(table_name()) + "(x) VALUES (1)");
    co_await c.execute("ROLLBACK");
    task<std::optional<db_errc>> failing = failure_of(c.commit());
    EXPECT_EQ(co_await std::move(failing), db_errc::other);
    co_await c.rollback();
    EXPECT_EQ(c.state(), session_state::clean);
    task<void> again = transaction(c, [](connection&) -> task<> { co_return; });
    co_await std::move(again);
  });
}

// Its client may be gone with its machine, and others wait for its locks.
TEST_P(conformance_transaction, that_does_nothing_for_long_is_ended_by_the_server) {
  if (is_sqlite()) GTEST_SKIP() << "SQLite has no server: a client's end ends its transaction";
  if (is_mysql()) GTEST_SKIP() << "MySQL has no such limit";
  with_connection([this](database&, connection& direct) -> task<> {
    table_definition wanted{table_name(), "id", {{"x", column_type::integer, true}}, {"x"}};
    task<void> preparing = direct.prepare_table(wanted);
    co_await std::move(preparing);
    const std::string insert = "INSERT INTO " + quote_identifier(table_name()) + "(x) VALUES (1)";
    task<std::unique_ptr<connection>> connecting = database(url() + "?idle_transaction_timeout=1s").connect();
    std::unique_ptr<connection> idle = co_await std::move(connecting);
    co_await idle->begin();
    co_await idle->execute(insert);
    task<std::uint64_t> waiting = with_timeout(20s, direct.execute(insert));
    EXPECT_EQ(co_await std::move(waiting), 1u);
    task<std::optional<db_errc>> failing = failure_of(idle->commit());
    EXPECT_TRUE((co_await std::move(failing)).has_value());
    EXPECT_EQ(idle->state(), session_state::dead);
  });
}

INSTANTIATE_TEST_SUITE_P(all, conformance_transaction, ::testing::ValuesIn(all_databases), name_of_tested);

}  // namespace
}  // namespace penstock::db
