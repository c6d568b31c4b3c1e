#include "db/mariadb/failure.h"
#include "mariadb_server.h"
#include "meddling_proxy.h"
#include <penstock/async/timeout.h>

#include <algorithm>

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

// As MySQL 9.7 said it of what a row gives a generated column, an index or a check.
TEST(mariadb_failure_codes, of_what_is_about_a_rows_value_refuse_the_row) {
  const std::vector<mariadb::complaint> cases{
      {3905, "HY000", "Exceeded max number of values per record for multi-valued index 'm' by 7395 value(s)."},
      {3906, "HY000", "Exceeded max total length of values per record for multi-valued index 'm' by 100 bytes."},
      {3908, "HY000", "Cannot store an array or an object in a scalar key part of the index 'm'."},
      {3643, "HY000", "The SRID of the geometry does not match the SRID of the column 'p'."},
      {3548, "SR001", "There's no spatial reference system with SRID 99999."},
      {3070, "HY000", "Invalid GeoJSON data provided to function st_geomfromgeojson: Missing required member 'type'"},
      {3071, "HY000", "Invalid GeoJSON data provided to function st_geomfromgeojson: Member 'coordinates' must be …"},
      {3072, "HY000", "Invalid GeoJSON data provided to function st_geomfromgeojson"},
      {3073, "HY000",
       "Unsupported number of coordinate dimensions in function st_geomfromgeojson: Found 3, expected 2"},
      {6136, "HY000", "Value of type 'string, size: 5' cannot be converted to 'vector' type."},
      {6138, "HY000", "Data cannot be converted to a valid vector: 'x'"},
      {3516, "22S01", "POINT value is a geometry of unexpected type LINESTRING in st_x."},
      {3559, "22023", "Invalid value 'x' for option 'axis-order' in function 'st_geomfromtext'."},
      {3726, "22S00", "Function st_latitude is only defined for geographic spatial reference systems, but …"},
      {3741, "22S00", "Transformation from SRID 0 is not supported."},
      {3853, "22032", "Invalid JSON type in argument 1 to function json_schema_valid; an object is required."},
  };
  for (const mariadb::complaint& said : cases) {
    EXPECT_EQ(mariadb::classify(said), db_errc::data) << said.message;
    EXPECT_TRUE(mariadb::refuses_row(said)) << said.message;
  }
  // Also of a statement that is executed with other parameters than it has.
  EXPECT_EQ(mariadb::classify({1210, "HY000", "Incorrect arguments to mysqld_stmt_execute"}), db_errc::other);
  EXPECT_EQ(mariadb::classify({1467, "HY000", "Failed to read auto-increment value from storage engine"}),
            db_errc::full);
}

// A packet that is too large closes the connection, and a server that takes no writes is no place for the session.
TEST(mariadb_failure_of_a_session, is_one_that_the_next_statement_would_meet_too) {
  const char* forbidden =
      "The MariaDB server is running with the --read-only option so it cannot execute this statement";
  for (const mariadb::complaint& said :
       {mariadb::complaint{1153, "08S01", "Got a packet bigger than allowed"},
        mariadb::complaint{1836, "HY000", "Running in read-only mode"}, mariadb::complaint{1290, "HY000", forbidden}}) {
    EXPECT_TRUE(mariadb::ends_session(said)) << said.message;
    mariadb::complaint signalled = said;
    signalled.sqlstate = "45000";
    EXPECT_FALSE(mariadb::ends_session(signalled)) << said.message;
  }
  const char* other = "The MariaDB server is running with the --secure-file-priv option so it cannot execute this";
  EXPECT_FALSE(mariadb::ends_session({1290, "HY000", other}));
}

// As MySQL 9.7 said it in a group of three that all take writes.
TEST(mariadb_failure_of_a_group, is_a_deadlock_only_where_nobody_can_have_the_transaction) {
  const mariadb::complaint met{1180, "HY000", "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT"};
  EXPECT_EQ(mariadb::classify(met), db_errc::deadlock);
  EXPECT_TRUE(mariadb::rolls_commit_back(met));
  EXPECT_TRUE(mariadb::rolls_transaction_back(met, false));
  for (const char* said : {"Got error 1149 - 'x' during COMMIT", "Got error 5 - 'Input/output error' during COMMIT",
                           "Got error 149 \"Lock deadlock; Retry transaction\" during COMMIT"}) {
    EXPECT_EQ(mariadb::classify({1180, "HY000", said}), db_errc::other) << said;
    EXPECT_FALSE(mariadb::rolls_commit_back({1180, "HY000", said})) << said;
  }
  mariadb::complaint undone{3101, "40000", "Plugin instructed the server to rollback the current transaction."};
  EXPECT_EQ(mariadb::classify(undone), db_errc::ambiguous_commit);
  EXPECT_FALSE(mariadb::rolls_commit_back(undone));
  EXPECT_TRUE(mariadb::rolls_transaction_back(undone, false));
  undone.is_known_conflict = true;
  EXPECT_EQ(mariadb::classify(undone), db_errc::deadlock);
  EXPECT_TRUE(mariadb::rolls_commit_back(undone));
  const mariadb::complaint left{3100, "HY000", "Error on observer while running replication hook 'before_commit'."};
  EXPECT_EQ(mariadb::classify(left), db_errc::connection_lost);
  EXPECT_TRUE(mariadb::ends_session(left));
  EXPECT_FALSE(mariadb::rolls_commit_back(left)) << "what it has sent to the others, they may commit";
}

TEST_F(mariadb_failure, of_a_statement_that_met_another_member_of_the_group_lasts_until_the_rollback) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INT)");
    co_await c.execute(
        "CREATE TRIGGER met BEFORE INSERT ON t FOR EACH ROW IF NEW.n = 2 THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO "
        "= 1180, MESSAGE_TEXT = 'Got error 149 - ''Lock deadlock; Retry transaction'' during COMMIT'; END IF");
    co_await c.begin();
    for (const char* n : {"1", "2", "3"}) {
      std::optional<db_errc> failed = co_await failure_of(c, "INSERT INTO t VALUES (" + std::string(n) + ")");
      if (*n == '1')
        EXPECT_EQ(failed, std::nullopt);
      else
        EXPECT_EQ(failed, db_errc::deadlock) << n;
    }
    std::optional<db_errc> failed;
    try {
      co_await c.commit();
    } catch (const database_error& e) {
      failed = e.errc();
    }
    EXPECT_EQ(failed, db_errc::deadlock);
    co_await c.rollback();
    value count = co_await ask(c, "SELECT count(*) FROM t");
    EXPECT_EQ(count, value(std::int64_t{0}));
  });
}

// The one that says so here has committed it, as the others of a group may.
TEST_F(mariadb_failure, of_a_commit_that_a_group_gives_up_is_ambiguous_where_the_server_is_no_member) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n INT)");
    auto meddle = [&](meddling_proxy& proxy, std::string by_way) -> task<> {
      task<std::unique_ptr<connection>> connecting = database(by_way).connect();
      std::unique_ptr<connection> meddled = co_await std::move(connecting);
      co_await meddled->begin();
      co_await meddled->execute("INSERT INTO t VALUES (1)");
      proxy.change_answers([done = false](std::span<char> answer) mutable {
        constexpr std::string_view given_up = "\xff\x1d\x0c";
        constexpr std::size_t header = 4;
        if (std::exchange(done, true) || answer.size() < header + given_up.size()) return;
        std::fill(answer.begin() + header, answer.end(), '.');
        std::copy(given_up.begin(), given_up.end(), answer.begin() + header);
      });
      std::optional<db_errc> failed;
      int code = 0;
      try {
        co_await meddled->commit();
      } catch (const database_error& e) {
        failed = e.errc();
        code = e.server_code();
      }
      EXPECT_EQ(failed, db_errc::ambiguous_commit);
      EXPECT_EQ(code, 3101);
      EXPECT_EQ(meddled->state(), session_state::dead);
    };
    task<void> meddling = with_meddling_proxy(url("tls=off"), meddle);
    co_await std::move(meddling);
    value count = co_await ask(c, "SELECT count(*) FROM t");
    EXPECT_EQ(count, value(std::int64_t{1}));
  });
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
    task<std::unique_ptr<connection>> connecting = database(patient(url())).connect();
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
    task<std::unique_ptr<connection>> connecting = database(patient(url())).connect();
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
    task<std::unique_ptr<connection>> connecting = database(patient(url())).connect();
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
    task<std::unique_ptr<connection>> connecting = database(patient(url())).connect();
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
