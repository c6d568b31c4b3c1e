#include "mariadb_server.h"
#include "table_drift.h"

// Statements, transactions and tables on a real MariaDB.

namespace penstock::db {
namespace {

using mariadb = mariadb_test;

TEST_F(mariadb, gives_typed_rows_for_typed_parameters) {
  with_session([&](connection& c) -> task<> {
    result r = co_await c.query("SELECT ? + 1 AS n, ? AS t, NULL AS nothing", parameters_of(41, "it's"));
    EXPECT_EQ(r.columns, (std::vector<std::string>{"n", "t", "nothing"}));
    EXPECT_EQ(r.rows.at(0).at(0), value(std::int64_t{42}));
    EXPECT_EQ(r.rows.at(0).at(1), value(std::string("it's")));
    EXPECT_EQ(r.rows.at(0).at(2), value());
  });
}

// MySQL takes the kinds of a statement's first parameters for those of all that come later.
TEST_F(mariadb, takes_each_parameter_as_what_it_is_whatever_the_statement_was_given_before) {
  with_session([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(token VARCHAR(40), amount DECIMAL(30, 2))");
    const std::string storing = "INSERT INTO t VALUES (?, ?)";
    for (const parameters& row : {parameters_of(5, 0.5), parameters_of("00123", "12345678901234567.89"),
                                  parameters_of(value(), value()), parameters_of("007", "0.10")})
      co_await c.execute(storing, row);
    result stored = co_await c.query("SELECT token, amount FROM t WHERE token LIKE '00%' ORDER BY token");
    const std::vector<std::vector<value>> as_given = {{value("00123"), value("12345678901234567.89")},
                                                      {value("007"), value("0.10")}};
    EXPECT_EQ(stored.rows, as_given);
    co_await c.execute(storing, parameters_of("7", 1));
    const std::string finding = "SELECT token FROM t WHERE token = ?";
    result by_number = co_await c.query(finding, parameters_of(7));
    EXPECT_EQ(by_number.rows.size(), 2u);
    result by_text = co_await c.query(finding, parameters_of("007"));
    EXPECT_EQ(by_text.rows, (std::vector<std::vector<value>>{{value("007")}}));
  });
}

TEST_F(mariadb, tells_the_kind_of_a_time_that_is_all_zero) {
  with_session([](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(at TIME, exact TIME(3), day DATE, both_of_them DATETIME)");
    co_await c.execute("SET sql_mode = ''");
    co_await c.execute("INSERT INTO t VALUES ('00:00:00', '00:00:00', '0000-00-00', '0000-00-00 00:00:00')");
    result r = co_await c.query("SELECT *, TIMEDIFF('10:00', '10:00') FROM t");
    EXPECT_EQ(r.rows.at(0), (std::vector<value>{value("00:00:00"), value("00:00:00"), value("0000-00-00"),
                                                value("0000-00-00 00:00:00.000000"), value("00:00:00")}));
  });
}

// There a backslash ends no quote, and what is written for one of them would.
TEST_F(mariadb, stores_no_batch_while_backslashes_escape_nothing) {
  with_session([](connection& c) -> task<> {
    const table_definition table{"t", "", {{"v", column_type::text}}, {}};
    co_await c.prepare_table(table);
    co_await c.execute("SET sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')");
    row_batch rows(1);
    rows.add_text("'); DROP TABLE t; -- ");
    rows.commit_row();
    batch_report report;
    std::string told;
    try {
      co_await c.insert_batch(table, rows, report);
    } catch (const database_error& e) {
      told = e.message();
    }
    EXPECT_NE(told.find("NO_BACKSLASH_ESCAPES"), std::string::npos) << told;
    co_await c.reset();
    co_await c.insert_batch(table, rows, report);
    value stored = co_await ask(c, "SELECT v FROM t");
    EXPECT_EQ(stored, value("'); DROP TABLE t; -- "));
  });
}

TEST_F(mariadb, has_the_same_settings_in_every_session) {
  with_session([&](connection& c) -> task<> {
    for (int round = 0; round < 2; ++round) {
      const std::string isolation = is_mysql() ? "@@transaction_isolation" : "@@tx_isolation";
      result r = co_await c.query(
          "SELECT @@time_zone, @@character_set_client, @@collation_connection LIKE 'utf8mb4%', " + isolation +
          ", "
          "@@sql_mode LIKE '%STRICT_ALL_TABLES%', @@sql_mode LIKE '%ANSI_QUOTES%', @@autocommit");
      EXPECT_EQ(r.rows.at(0).at(0), value("+00:00"));
      EXPECT_EQ(r.rows.at(0).at(1), value("utf8mb4"));
      EXPECT_EQ(r.rows.at(0).at(2), value(std::int64_t{1}));
      EXPECT_EQ(r.rows.at(0).at(3), value("READ-COMMITTED"));
      for (std::size_t i = 4; i < 7; ++i) EXPECT_EQ(r.rows.at(0).at(i), value(std::int64_t{1})) << i;
      co_await c.reset();
    }
    value attribute = co_await ask(c, "SELECT count(*) FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()");
    EXPECT_EQ(attribute, value(std::int64_t{1}));
  });
}

TEST_F(mariadb, commits_and_rolls_back) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n BIGINT)");
    co_await c.begin();
    EXPECT_EQ(c.state(), session_state::dirty);
    co_await c.execute("INSERT INTO t VALUES (?)", parameters_of(1));
    co_await c.commit();
    EXPECT_EQ(c.state(), session_state::clean);
    co_await c.begin();
    std::uint64_t changed = co_await c.execute("INSERT INTO t VALUES (?), (?)", parameters_of(2, 3));
    EXPECT_EQ(changed, 2u);
    co_await c.rollback();
    EXPECT_EQ(c.state(), session_state::clean);
    value count = co_await ask(c, "SELECT count(*) FROM t");
    EXPECT_EQ(count, value(std::int64_t{1}));
  });
}

// Its answers say whether a transaction is open, and one that was corrupted says so wrongly.
TEST_F(mariadb, believes_that_a_transaction_is_over_only_when_it_has_ended_it) {
  with_session([&](connection& c) -> task<> {
    co_await c.begin();
    co_await c.execute("COMMIT");
    EXPECT_EQ(c.state(), session_state::dirty);
    co_await c.rollback();
    EXPECT_EQ(c.state(), session_state::clean);
    co_await c.begin();
    co_await c.execute("COMMIT");
    co_await c.begin();
    co_await c.commit();
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

TEST_F(mariadb, refuses_to_begin_twice_which_would_commit) {
  with_session([&](connection& c) -> task<> {
    co_await c.begin();
    bool refused = false;
    try {
      co_await c.begin();
    } catch (const database_error&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
  });
}

TEST_F(mariadb, counts_rows_that_matched_as_changed) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(n BIGINT)");
    co_await c.execute("INSERT INTO t VALUES (1), (2)");
    std::uint64_t changed = co_await c.execute("UPDATE t SET n = n");
    EXPECT_EQ(changed, 2u);
  });
}

TEST_F(mariadb, takes_one_statement_at_a_time) {
  with_session([&](connection& c) -> task<> {
    std::optional<db_errc> failed = co_await failure_of(c, "SELECT 1; SELECT 2");
    EXPECT_EQ(failed, db_errc::syntax);
    failed = co_await failure_of(c, "SELECT ?", parameters_of(1, 2));
    EXPECT_EQ(failed, db_errc::syntax);
  });
}

TEST_F(mariadb, keeps_a_bounded_number_of_prepared_statements) {
  with_session([&](connection& c) -> task<> {
    for (int i = 0; i < 200; ++i) {
      co_await c.query("SELECT " + std::to_string(i));
    }
    result r = co_await c.query("SHOW SESSION STATUS LIKE 'Com_stmt_close'");
    EXPECT_GE(std::stoi(std::get<std::string>(r.rows.at(0).at(1))), 200 - 64);
  });
}

TEST_F(mariadb, hands_over_a_large_result_in_pieces) {
  with_session([&](connection& c) -> task<> {
    std::vector<std::size_t> sizes;
    auto take = [&](const result& some) -> task<void> {
      sizes.push_back(some.rows.size());
      co_return;
    };
    std::uint64_t count = co_await c.query_each("SELECT seq FROM " + numbers(2'500), {}, take, 1'000);
    EXPECT_EQ(count, 2'500u);
    EXPECT_EQ(sizes, (std::vector<std::size_t>{1000, 1000, 500}));
  });
}

TEST_F(mariadb, is_clean_after_a_consumer_that_wants_no_more) {
  with_session([&](connection& c) -> task<> {
    auto take = [](const result&) -> task<void> {
      throw std::runtime_error("enough");
      co_return;
    };
    bool passed_on = false;
    try {
      co_await c.query_each("SELECT seq, repeat('x', 1000) FROM " + numbers(2'000'000), {}, take, 10);
    } catch (const std::runtime_error&) {
      passed_on = true;
    }
    EXPECT_TRUE(passed_on);
    EXPECT_EQ(c.state(), session_state::clean);
    value one = co_await ask(c, "SELECT 1");
    EXPECT_EQ(one, value(std::int64_t{1}));
  });
}

table_definition all_types() {
  return {"everything",
          "id",
          {{"i", column_type::integer, true},
           {"r", column_type::real},
           {"t", column_type::text},
           {"b", column_type::boolean},
           {"at", column_type::timestamp},
           {"j", column_type::json},
           {"x", column_type::blob}},
          {"i", "t"}};
}

TEST_F(mariadb, makes_a_table_that_fits_its_definition) {
  with_session([&](connection& c) -> task<> {
    table_definition wanted = all_types();
    co_await c.prepare_table(wanted);
    co_await c.prepare_table(wanted);
    value engine = co_await ask(c,
                                "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND "
                                "TABLE_NAME = 'everything'");
    EXPECT_EQ(engine, value("InnoDB"));
  });
}

TEST_F(mariadb, names_each_difference_of_a_table) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TABLE everything(id BIGINT PRIMARY KEY, I BIGINT, r FLOAT, t VARCHAR(10) COLLATE utf8mb4_general_ci, "
        "b BOOLEAN, at DATETIME, j TEXT, owner BIGINT NOT NULL, UNIQUE(i, t(5)))");
    table_definition wanted = all_types();
    task<std::string> preparing = drift_of(c, wanted);
    std::string said = co_await std::move(preparing);
    for (const char* part : {"'id' does not generate ids", "'r' is float", "utf8mb4_general_ci", "'at' is datetime",
                             "'x' (blob) is missing", "'owner' is NOT NULL", "no unique index on (i, t)"})
      EXPECT_NE(said.find(part), std::string::npos) << part << " is not in: " << said;
    EXPECT_EQ(said.find("'i'"), std::string::npos) << said;
  });
}

TEST_F(mariadb, takes_no_table_that_makes_a_column_by_itself_which_is_to_be_filled) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TABLE made(id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT, s BIGINT AS (n * 2) STORED, "
        "v BIGINT AS (n * 3) VIRTUAL, d DATETIME(6) DEFAULT (now(6)) ON UPDATE now(6))");
    const table_definition fits{"made", "id", {{"n", column_type::integer}, {"d", column_type::timestamp}}, {}};
    co_await c.prepare_table(fits);
    table_definition wanted = fits;
    wanted.columns.push_back({"s", column_type::integer});
    wanted.columns.push_back({"v", column_type::integer});
    task<std::string> preparing = drift_of(c, wanted);
    std::string said = co_await std::move(preparing);
    for (const char* part : {"'s' is generated", "'v' is generated"})
      EXPECT_NE(said.find(part), std::string::npos) << part << " is not in: " << said;
    EXPECT_EQ(said.find("'d'"), std::string::npos) << said;
  });
}

TEST_F(mariadb, takes_no_table_that_undoes_nothing_or_rounds) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TABLE plain(id BIGINT AUTO_INCREMENT PRIMARY KEY, r DOUBLE(10,2), x DOUBLE) ENGINE=MyISAM");
    const table_definition wanted{"plain", "id", {{"r", column_type::real}, {"x", column_type::real}}, {}};
    task<std::string> preparing = drift_of(c, wanted);
    std::string said = co_await std::move(preparing);
    for (const char* part : {"engine MyISAM has no transactions", "'r' is double(10,2)"})
      EXPECT_NE(said.find(part), std::string::npos) << part << " is not in: " << said;
    EXPECT_EQ(said.find("'x'"), std::string::npos) << said;
  });
}

TEST_F(mariadb, takes_a_view_which_has_no_engine) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE beneath(id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT, more BIGINT)");
    co_await c.execute("CREATE VIEW seen AS SELECT id, n FROM beneath");
    const table_definition wanted{"seen", "", {{"n", column_type::integer}}, {}};
    co_await c.prepare_table(wanted);
    value columns = co_await ask(c, "SELECT count(*) FROM seen");
    EXPECT_EQ(columns, value(std::int64_t{0}));
  });
}

}  // namespace
}  // namespace penstock::db
