#include "fake_database.h"
#include <penstock/core/traceback.h>
#include <penstock/db/transaction.h>

namespace penstock::db {
namespace {

template <class Body>
void with_account(Body body) {
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    std::unique_ptr<connection> c = co_await database("sqlite::memory:").connect();
    co_await c->execute("CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL CHECK(balance >= 0))");
    co_await c->execute("INSERT INTO account VALUES (1, 100)");
    task<void> running = body(*c);
    co_await std::move(running);
    EXPECT_EQ(c->state(), session_state::clean);
  };
  sim.run(main());
}

task<std::int64_t> balance(connection& c) {
  result r = co_await c.query("SELECT balance FROM account WHERE id = 1");
  co_return std::get<std::int64_t>(r.rows[0][0]);
}

TEST(transaction, commits_and_gives_what_the_body_gives) {
  with_account([](connection& c) -> task<> {
    auto body = [](connection& inside) -> task<std::int64_t> {
      co_await inside.execute("UPDATE account SET balance = 60");
      EXPECT_EQ(inside.state(), session_state::dirty);
      co_return co_await balance(inside);
    };
    task<std::int64_t> t = transaction(c, body);
    std::int64_t seen = co_await std::move(t);
    EXPECT_EQ(seen, 60);
    EXPECT_EQ(co_await balance(c), 60);
  });
}

TEST(transaction, rolls_back_when_the_body_throws) {
  with_account([](connection& c) -> task<> {
    auto body = [](connection& inside) -> task<> {
      co_await inside.execute("UPDATE account SET balance = 60");
      throw std::runtime_error("changed my mind");
    };
    task<void> t = transaction(c, body);
    try {
      co_await std::move(t);
      ADD_FAILURE() << "the exception was lost";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "changed my mind");
    }
    EXPECT_EQ(co_await balance(c), 100);
  });
}

TEST(transaction, rolls_back_when_a_constraint_refuses_a_statement) {
  with_account([](connection& c) -> task<> {
    auto body = [](connection& inside) -> task<> {
      co_await inside.execute("INSERT INTO account VALUES (2, 5)");
      co_await inside.execute("UPDATE account SET balance = balance - 200");
    };
    task<std::optional<db_errc>> failed = failure_of(transaction(c, body));
    EXPECT_EQ(co_await std::move(failed), db_errc::constraint);
    result accounts = co_await c.query("SELECT count(*) FROM account");
    EXPECT_EQ(std::get<std::int64_t>(accounts.rows[0][0]), 1);
  });
}

TEST(transaction, rolls_back_out_of_reach_of_the_cancel_that_ended_it) {
  with_account([](connection& c) -> task<> {
    auto body = [](connection& inside) -> task<> {
      co_await inside.execute("UPDATE account SET balance = 60");
      co_await sleep_for(1h);
    };
    bool cut_short = false;
    try {
      task<void> limited = with_timeout(1s, transaction(c, body));
      co_await std::move(limited);
    } catch (const timed_out&) {
      cut_short = true;
    }
    EXPECT_TRUE(cut_short);
    EXPECT_EQ(c.state(), session_state::clean);
    EXPECT_EQ(co_await balance(c), 100);
  });
}

// A body that fails with `code` so many times, then ends well.
struct stubborn {
  db_errc code = db_errc::deadlock;
  int failures = 0;
  int runs = 0;
  task<void> run(connection& c) {
    ++runs;
    co_await c.execute("UPDATE");
    if (runs <= failures) throw database_error(code, "not now");
  }
};

template <class Body>
void with_fake_connection(Body body) {
  penstock::testing::simulation sim;
  auto server = std::make_shared<fake_server>();
  auto main = [&]() -> task<> {
    fake_connection c(server);
    task<void> running = body(c, *server);
    co_await std::move(running);
  };
  sim.run(main());
}

TEST(transaction, a_deadlock_is_tried_again_after_a_pause) {
  with_fake_connection([](connection& c, fake_server& server) -> task<> {
    stubborn s{.failures = 2};
    auto body = [&](connection& inside) { return s.run(inside); };
    task<void> t = transaction(c, body, {.max_attempts = 3});
    co_await std::move(t);
    EXPECT_EQ(s.runs, 3);
    EXPECT_EQ(server.statements, (std::vector<std::string>{"BEGIN", "UPDATE", "ROLLBACK", "BEGIN", "UPDATE", "ROLLBACK",
                                                           "BEGIN", "UPDATE", "COMMIT"}));
  });
}

TEST(transaction, what_may_pass_is_tried_again_and_nothing_else) {
  with_fake_connection([](connection& c, fake_server&) -> task<> {
    for (int n = 0; n <= static_cast<int>(db_errc::other); ++n) {
      const auto code = static_cast<db_errc>(n);
      bool passes = code == db_errc::deadlock || code == db_errc::lock_timeout || code == db_errc::serialization;
      stubborn s{.code = code, .failures = 1};
      auto body = [&](connection& inside) { return s.run(inside); };
      task<std::optional<db_errc>> ending = failure_of(transaction(c, body));
      EXPECT_EQ(co_await std::move(ending), passes ? std::nullopt : std::optional(code)) << code_name(code);
      EXPECT_EQ(s.runs, passes ? 2 : 1) << code_name(code);
    }
  });
}

TEST(transaction, is_given_up_after_max_attempts_and_at_once_when_it_can_not_pass) {
  with_fake_connection([](connection& c, fake_server&) -> task<> {
    stubborn deadlocks{.failures = 10};
    auto body = [&](connection& inside) { return deadlocks.run(inside); };
    task<std::optional<db_errc>> failed = failure_of(transaction(c, body, {.max_attempts = 4}));
    EXPECT_EQ(co_await std::move(failed), db_errc::deadlock);
    EXPECT_EQ(deadlocks.runs, 4);
    stubborn refused{.code = db_errc::constraint, .failures = 10};
    auto other = [&](connection& inside) { return refused.run(inside); };
    failed = failure_of(transaction(c, other));
    EXPECT_EQ(co_await std::move(failed), db_errc::constraint);
    EXPECT_EQ(refused.runs, 1);
  });
}

TEST(transaction, is_not_tried_again_beyond_the_deadline) {
  with_fake_connection([](connection& c, fake_server&) -> task<> {
    stubborn s{.failures = 100};
    auto body = [&](connection& inside) { return s.run(inside); };
    transaction_options patient{.max_attempts = 100, .min_pause = 1s, .max_pause = 1s};
    time_point start = scheduler::current().now();
    task<void> limited = with_timeout(3s, transaction(c, body, patient));
    task<std::optional<db_errc>> failed = failure_of(std::move(limited));
    EXPECT_EQ(co_await std::move(failed), db_errc::deadlock) << "the last failure says more than the deadline does";
    EXPECT_LT(scheduler::current().now() - start, 3s);
    EXPECT_GT(s.runs, 2);
  });
}

TEST(transaction, a_connection_lost_in_the_middle_is_reported_and_not_rolled_back) {
  with_fake_connection([](connection& c, fake_server& server) -> task<> {
    auto body = [&](connection& inside) -> task<> {
      server.restart();
      co_await inside.execute("UPDATE");
    };
    task<std::optional<db_errc>> failed = failure_of(transaction(c, body));
    EXPECT_EQ(co_await std::move(failed), db_errc::connection_lost);
    EXPECT_EQ(server.statements, (std::vector<std::string>{"BEGIN", "UPDATE"}));
    EXPECT_EQ(c.state(), session_state::dead);
  });
}

}  // namespace
}  // namespace penstock::db
