#include "db/mariadb/failure.h"
#include "mariadb_server.h"
#include <penstock/async/timeout.h>

// What a real server refuses, and why.

namespace penstock::db {
namespace {

using mariadb_failure = mariadb_test;

task<std::optional<db_errc>> connect_failure(std::string url) {
  try {
    task<std::unique_ptr<connection>> connecting = database(url).connect();
    co_await std::move(connecting);
  } catch (const database_error& e) {
    co_return e.errc();
  }
  co_return std::nullopt;
}

TEST(mariadb_failure_of_tls, is_a_lost_connection_unless_a_certificate_is_refused) {
  constexpr unsigned of_tls = 2026;
  auto class_of = [](const char* said) { return mariadb::classify({of_tls, "HY000", said}); };
  for (const char* said :
       {"TLS/SSL error: The TLS connection was non-properly terminated.", "TLS/SSL error: Error in the pull function.",
        "TLS/SSL error: unexpected eof while reading", "TLS/SSL error: Connection reset by peer (104)"})
    EXPECT_EQ(class_of(said), db_errc::connection_lost) << said;
  for (const char* said : {"TLS/SSL error: Validation of SSL server certificate failed",
                           "TLS/SSL error: SSL is required, but the server does not support it",
                           "TLS/SSL error: self-signed certificate in certificate chain"})
    EXPECT_EQ(class_of(said), db_errc::auth) << said;
}

TEST_F(mariadb_failure, of_a_statement_has_the_class_that_its_code_means) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TABLE t(id INT PRIMARY KEY, n TINYINT NOT NULL CHECK (n < 100), t VARCHAR(3), at DATETIME)");
    co_await c.execute("CREATE TABLE child(id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES t(id))");
    co_await c.execute("INSERT INTO t(id, n) VALUES (1, 1)");
    co_await c.execute("INSERT INTO child VALUES (1, 1)");
    std::vector<std::pair<const char*, db_errc>> cases{
        {"INSERT INTO t(id, n) VALUES (1, 1)", db_errc::constraint},
        {"INSERT INTO t(id, n) VALUES (2, NULL)", db_errc::constraint},
        {"INSERT INTO t(id) VALUES (2)", db_errc::constraint},
        {"INSERT INTO t(id, n) VALUES (2, 100)", db_errc::constraint},
        {"INSERT INTO child VALUES (2, 2)", db_errc::constraint},
        {"DELETE FROM t WHERE id = 1", db_errc::constraint},
        {"INSERT INTO t(id, n) VALUES (2, 300)", db_errc::data},
        {"INSERT INTO t(id, n, t) VALUES (2, 1, 'four')", db_errc::data},
        {"INSERT INTO t(id, n, at) VALUES (2, 1, '2026-02-30')", db_errc::data},
        {"INSERT INTO t(id, n) VALUES (2, 'x')", db_errc::data},
        {"INSERT INTO t(id, n) VALUES (2, 1/0)", db_errc::data},
        {"SELEC 1", db_errc::syntax},
        {"SELECT * FROM missing", db_errc::syntax},
        {"SELECT missing FROM t", db_errc::syntax},
    };
    if (!is_mysql())
      cases.emplace_back("SET STATEMENT max_statement_time = 0.01 FOR SELECT SLEEP(5) FROM t", db_errc::interrupted);
    for (const auto& [sql, errc] : cases) {
      std::optional<db_errc> failed = co_await failure_of(c, sql);
      EXPECT_EQ(failed, errc) << sql;
    }
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

// As MySQL 8.0 and 9.7 said it, and MariaDB 11.8.
TEST(mariadb_failure_codes, of_servers_that_are_not_here_have_the_class_that_they_mean) {
  const std::vector<std::pair<mariadb::complaint, db_errc>> cases{
      {{3751, "01000", "Data truncated for functional index 'm' at row 1"}, db_errc::data},
      {{3032, "HY000", "The server is currently in offline mode"}, db_errc::connection_lost},
      {{3118, "HY000", "Access denied for user 'shop'@'%'. Account is locked."}, db_errc::auth},
      {{4151, "HY000", "Access denied, this account is locked"}, db_errc::auth},
      {{1862, "HY000", "Your password has expired."}, db_errc::auth},
  };
  for (const auto& [said, errc] : cases) EXPECT_EQ(mariadb::classify(said), errc) << said.message;
  EXPECT_TRUE(mariadb::refuses_row(cases[0].first));
  EXPECT_TRUE(mariadb::ends_session(cases[1].first));
}

TEST_F(mariadb_failure, carries_the_servers_code_and_state) {
  with_session([&](connection& c) -> task<> {
    try {
      co_await c.query("SELECT * FROM missing");
      ADD_FAILURE() << "there is no such table";
    } catch (const database_error& e) {
      EXPECT_EQ(e.server_code(), 1146);
      EXPECT_EQ(e.sqlstate(), "42S02");
      EXPECT_NE(e.message().find("missing"), std::string::npos);
    }
  });
}

TEST_F(mariadb_failure, is_a_deadlock_for_one_of_two_that_wait_for_each_other) {
  with_session([&](connection& c) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(url()).connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    task<std::vector<std::optional<db_errc>>> meeting = deadlock(c, *other);
    std::vector<std::optional<db_errc>> failed = co_await std::move(meeting);
    EXPECT_TRUE((failed[0] == db_errc::deadlock && !failed[1]) || (failed[1] == db_errc::deadlock && !failed[0]));
    co_await c.rollback();
    co_await other->rollback();
  });
}

TEST_F(mariadb_failure, is_a_lock_timeout_when_a_lock_is_held_for_long) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(id INT PRIMARY KEY)");
    co_await c.execute("INSERT INTO t VALUES (1)");
    task<std::unique_ptr<connection>> connecting = database(url()).connect();
    std::unique_ptr<connection> other = co_await std::move(connecting);
    co_await other->begin();
    co_await other->query("SELECT * FROM t FOR UPDATE");
    std::optional<db_errc> failed = co_await failure_of(c, "SELECT * FROM t FOR UPDATE NOWAIT");
    EXPECT_EQ(failed, db_errc::lock_timeout);
    co_await other->rollback();
  });
}

TEST_F(mariadb_failure, is_about_rights_for_a_wrong_password) {
  std::string wrong = url();
  wrong.replace(wrong.find("only"), 4, "0nly");
  auto main = [&]() -> task<> {
    std::optional<db_errc> failed = co_await connect_failure(wrong);
    EXPECT_EQ(failed, db_errc::auth);
  };
  net::run(main());
}

TEST_F(mariadb_failure, is_a_lost_connection_where_nobody_listens) {
  auto main = [&]() -> task<> {
    std::optional<db_errc> failed = co_await connect_failure("mariadb://u:p@127.0.0.1:1/d");
    EXPECT_EQ(failed, db_errc::connection_lost);
    failed = co_await connect_failure("mariadb://u:p@/d?socket=/nowhere/socket");
    EXPECT_EQ(failed, db_errc::connection_lost);
  };
  net::run(main());
}

TEST_F(mariadb_failure, is_a_lost_connection_after_a_kill_in_mid_transaction) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INT)");
    task<std::unique_ptr<connection>> connecting = database(url()).connect();
    std::unique_ptr<connection> victim = co_await std::move(connecting);
    value id = co_await ask(*victim, "SELECT CONNECTION_ID()");
    co_await victim->begin();
    co_await victim->execute("INSERT INTO t VALUES (1)");
    co_await c.execute("KILL " + std::to_string(std::get<std::int64_t>(id)));
    std::optional<db_errc> failed = co_await failure_of(*victim, "INSERT INTO t VALUES (2)");
    EXPECT_EQ(failed, db_errc::connection_lost);
    EXPECT_EQ(victim->state(), session_state::dead);
    value count = co_await ask(c, "SELECT count(*) FROM t");
    EXPECT_EQ(count, value(std::int64_t{0}));
  });
}

TEST_F(mariadb_failure, of_a_commit_whose_session_was_killed_is_ambiguous) {
  with_session([&](connection& c) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(url()).connect();
    std::unique_ptr<connection> victim = co_await std::move(connecting);
    value id = co_await ask(*victim, "SELECT CONNECTION_ID()");
    co_await victim->begin();
    co_await c.execute("KILL " + std::to_string(std::get<std::int64_t>(id)));
    bool ambiguous = false;
    try {
      co_await victim->commit();
    } catch (const database_error& e) {
      ambiguous = e.errc() == db_errc::ambiguous_commit;
    }
    EXPECT_TRUE(ambiguous);
    EXPECT_EQ(victim->state(), session_state::dead);
  });
}

TEST_F(mariadb_failure, names_the_limit_that_a_value_is_too_large_for) {
  with_session([&](connection& c) -> task<> {
    value limit = co_await ask(c, "SELECT @@max_allowed_packet");
    std::string large(static_cast<std::size_t>(std::get<std::int64_t>(limit)), 'x');
    try {
      co_await c.query("SELECT length(?)", parameters_of(large));
      ADD_FAILURE() << "more than the limit was sent";
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::data);
      EXPECT_NE(e.message().find("max_allowed_packet"), std::string::npos);
    }
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

}  // namespace
}  // namespace penstock::db
