#pragma once

// What the tests against a real MariaDB share. Each test has a database of its own on the server that
// TESTED_MARIADB names, which may be a MySQL too, by a "mysql:" URL; without one they are skipped.

#include "db/mariadb/opening.h"
#include "db/mariadb/server_context.h"
#include "db/mariadb/session.h"
#include "patience.h"
#include <penstock/async/gather.h>
#include <penstock/async/task.h>
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/net/event_loop.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

namespace penstock::db {

class mariadb_test : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* given = std::getenv("TESTED_MARIADB");
    if (given == nullptr) GTEST_SKIP() << "TESTED_MARIADB names no server: run this by tools/test-server run";
    server_ = given;
    name_ = "penstock_" + std::to_string(getpid());
    administer("CREATE DATABASE " + name_);
  }
  void TearDown() override {
    if (!name_.empty()) administer("DROP DATABASE " + name_);
  }

  bool is_mysql() const { return server_.starts_with("mysql:"); }

  // `count` rows with a column `seq`, as a table.
  std::string numbers(std::size_t count) const {
    if (!is_mysql()) return "seq_1_to_" + std::to_string(count);
    std::string tens;
    for (char name = 'a'; name < 'i'; ++name)
      tens += std::string(tens.empty() ? "" : ", ") +
              "(VALUES ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7), ROW(8), ROW(9)) " + name + "(n)";
    return "(SELECT row_number() OVER () AS seq FROM " + tens + " LIMIT " + std::to_string(count) + ") AS numbers";
  }

  // The URL of this test's database, with options such as "bulk=values".
  std::string url(const std::string& options = {}) const {
    return server_.substr(0, server_.rfind('/') + 1) + name_ + (options.empty() ? "" : "?" + options);
  }

  // A session that believes of its server what `change` makes of the facts.
  using belief = std::function<void(penstock::db::mariadb::server_facts&)>;
  static task<std::unique_ptr<connection>> connect_believing(belief change, std::string url,
                                                             duration tables_are_known_for = std::chrono::seconds(1)) {
    auto home = std::make_shared<penstock::db::mariadb::server_context>(
        penstock::db::mariadb::server_context{parse_server_url(url, 3306)});
    home->tables_are_known_for = tables_are_known_for;
    penstock::db::mariadb::server_facts facts;
    server_address at = home->url.addresses.front();
    task<std::unique_ptr<penstock::db::mariadb::wire>> opening =
        penstock::db::mariadb::open_session(&home->url, at, &facts);
    std::unique_ptr<penstock::db::mariadb::wire> w = co_await std::move(opening);
    change(facts);
    co_return std::make_unique<penstock::db::mariadb::session>(home, at, std::move(w), facts);
  }
  // One that believes its server to take no LOAD DATA LOCAL, or no arrays.
  static constexpr const char* without_files = "without files";
  static constexpr const char* without_arrays = "without arrays";
  task<std::unique_ptr<connection>> connect(const std::string& options) const {
    if (options == without_files)
      return connect_believing([](auto& facts) { facts.takes_files = false; }, patient(url()));
    if (options == without_arrays)
      return connect_believing([](auto& facts) { facts.takes_arrays = false; }, patient(url()));
    return database(patient(url(options))).connect();
  }

  // Runs `body(connection&)`, a task, with a session.
  template <class Body>
  void with_session(Body body, const std::string& options = {}) {
    auto main = [&]() -> task<> {
      task<std::unique_ptr<connection>> connecting = connect(options);
      std::unique_ptr<connection> c = co_await std::move(connecting);
      task<void> running = body(*c);
      co_await std::move(running);
    };
    net::run(main());
  }

  // The only value of the only row.
  static task<value> ask(connection& c, std::string sql, parameters values = {}) {
    task<result> asking = c.query(std::move(sql), std::move(values));
    result r = co_await std::move(asking);
    EXPECT_EQ(r.rows.size(), 1u);
    co_return r.rows.at(0).at(0);
  }

  // The error's class, if the statement fails.
  static task<std::optional<db_errc>> failure_of(connection& c, std::string sql, parameters values = {}) {
    try {
      task<result> asking = c.query(std::move(sql), std::move(values));
      co_await std::move(asking);
    } catch (const database_error& e) {
      co_return e.errc();
    }
    co_return std::nullopt;
  }

  // Makes the table `t` of two rows, (1, 0) and (2, 0), and has the sessions, each in a transaction, change one and
  // then wait for the other's. Gives what the second statement of each failed with: one of them is the victim.
  static task<std::vector<std::optional<db_errc>>> deadlock(connection& a, connection& b) {
    co_await a.execute("CREATE TABLE t(id INT PRIMARY KEY, n INT)");
    co_await a.execute("INSERT INTO t VALUES (1, 0), (2, 0)");
    co_await a.begin();
    co_await b.begin();
    co_await a.execute("UPDATE t SET n = 1 WHERE id = 1");
    co_await b.execute("UPDATE t SET n = 1 WHERE id = 2");
    std::vector<task<std::optional<db_errc>>> both;
    both.push_back(failure_of(a, "UPDATE t SET n = 2 WHERE id = 2"));
    both.push_back(failure_of(b, "UPDATE t SET n = 2 WHERE id = 1"));
    co_return co_await gather(std::move(both));
  }

  void administer(const std::string& sql) {
    auto main = [&]() -> task<> {
      task<std::unique_ptr<connection>> connecting = database(patient(server_)).connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      task<std::uint64_t> running = c->execute(sql, {});
      co_await std::move(running);
    };
    net::run(main());
  }

  std::string server_;
  std::string name_;
};

}  // namespace penstock::db
