#pragma once

// The same tests over every database: SQLite in a temporary file, and the servers whose URLs are in
// TESTED_MARIADB and TESTED_POSTGRESQL.

#include "patience.h"
#include "temporary_folder.h"
#include <penstock/async/cancel.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/db/transaction.h>
#include <penstock/net/event_loop.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <unistd.h>

namespace penstock::db {

using namespace std::chrono_literals;

// A database as a test's parameter.
struct tested_database {
  const char* name;
  const char* variable;  // with its URL; null for SQLite
  const char* options;   // behind the URL
};

inline void PrintTo(const tested_database& tested, std::ostream* to) { *to << tested.name; }
inline std::string name_of_tested(const ::testing::TestParamInfo<tested_database>& info) { return info.param.name; }

inline const tested_database all_databases[] = {
    {"sqlite", nullptr, ""}, {"mariadb", "TESTED_MARIADB", ""}, {"postgresql", "TESTED_POSTGRESQL", ""}};
// Also without what the servers have for bulk loading.
inline const tested_database all_ways_to_insert[] = {{"sqlite", nullptr, ""},
                                                     {"mariadb", "TESTED_MARIADB", ""},
                                                     {"mariadb_by_values", "TESTED_MARIADB", "?bulk=values"},
                                                     {"postgresql", "TESTED_POSTGRESQL", ""},
                                                     {"postgresql_by_values", "TESTED_POSTGRESQL", "?bulk=values"}};

class conformance_test : public ::testing::TestWithParam<tested_database> {
 protected:
  void SetUp() override {
    const char* variable = GetParam().variable;
    if (variable == nullptr) {
      url_ = folder_.url("conformance.db");
      return;
    }
    const char* url = std::getenv(variable);
    if (url == nullptr) GTEST_SKIP() << variable << " is not set: run tools/test, or under tools/test-server run";
    url_ = std::string(url) + GetParam().options;
  }

  bool is_sqlite() const { return GetParam().variable == nullptr; }
  bool is_mariadb() const { return std::string(GetParam().name).starts_with("mariadb"); }
  bool is_mysql() const { return url_.starts_with("mysql:"); }
  bool is_postgresql() const { return std::string(GetParam().name).starts_with("postgresql"); }
  const std::string& url() const noexcept { return url_; }

  // The test's own table; others may be named with a suffix.
  static std::string table_name(const std::string& suffix = {}) {
    const auto* running = ::testing::UnitTest::GetInstance()->current_test_info();
    return "t_" + std::to_string(std::hash<std::string>()(std::string(running->test_suite_name()) + running->name())) +
           "_" + std::to_string(::getpid()) + suffix;
  }

  // Runs a task on an event loop, with a connection of its own; the test's tables are dropped before it and after.
  template <class Body>
  void with_connection(Body body) {
    auto main = [&]() -> task<> {
      database here(is_sqlite() ? url_ : patient(url_));
      task<void> dropping_old = drop_tables(here);
      co_await std::move(dropping_old);
      std::exception_ptr failure;
      try {
        task<std::unique_ptr<connection>> connecting = here.connect();
        std::unique_ptr<connection> c = co_await std::move(connecting);
        task<void> running = body(here, *c);
        co_await std::move(running);
      } catch (...) {
        failure = std::current_exception();
      }
      task<void> dropping = drop_tables(here);
      co_await std::move(dropping);
      if (failure) std::rethrow_exception(failure);
    };
    net::run(main());
  }

  // The class of what the task failed with; empty when it did not.
  template <class T>
  static task<std::optional<db_errc>> failure_of(task<T> t) {
    try {
      co_await std::move(t);
    } catch (const database_error& e) {
      co_return e.errc();
    }
    co_return std::nullopt;
  }

  // True when the task was cut short by the limit.
  template <class T>
  static task<bool> times_out(duration limit, task<T> t) {
    try {
      task<T> limited = with_timeout(limit, std::move(t));
      co_await std::move(limited);
    } catch (const timed_out&) {
      co_return true;
    }
    co_return false;
  }

  static task<std::int64_t> count(connection& c, std::string from) {
    task<result> asking = c.query("SELECT count(*) FROM " + from);
    result r = co_await std::move(asking);
    co_return std::get<std::int64_t>(r.rows.at(0).at(0));
  }

  // A statement that runs for far longer than any test waits.
  std::string endless_query() const {
    if (is_postgresql()) return "SELECT pg_sleep(600)::text";
    if (is_mariadb()) return "SELECT SLEEP(600)";
    return "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n WHERE i < 0";
  }

 private:
  static task<void> drop_tables(database here) {
    task<std::unique_ptr<connection>> connecting = here.connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    for (const char* suffix : {"", "_b"}) {
      task<std::uint64_t> dropping = c->execute("DROP TABLE IF EXISTS " + quote_identifier(table_name(suffix)));
      co_await std::move(dropping);
    }
  }

  temporary_folder folder_;
  std::string url_;
};

}  // namespace penstock::db
