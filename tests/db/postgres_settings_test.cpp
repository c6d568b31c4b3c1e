#include "server_fixture.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

// What a session's user sets, and its batches and statements go by.

namespace penstock::db {
namespace {

class postgres_characters : public server_test {
 protected:
  postgres_characters() : server_test("TESTED_POSTGRESQL") {}

  const table_definition texts{"texts", "", {{"v", column_type::text}}, {}};
  const std::string text = "é誠";

  static task<void> expect_refused(task<void> doing, std::string encoding) {
    std::string said = "nothing";
    try {
      co_await std::move(doing);
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::other);
      said = e.message();
    }
    EXPECT_NE(said.find("client_encoding is '" + encoding + "'"), std::string::npos) << said;
  }

  static task<void> execute(connection& c, std::string sql, parameters values) {
    task<std::uint64_t> running = c.execute(std::move(sql), std::move(values));
    co_await std::move(running);
  }

  static task<void> read(connection& c, std::string sql) {
    row_consumer take = [](const result&) -> task<void> { co_return; };
    task<std::uint64_t> reading = c.query_each(std::move(sql), {}, take);
    co_await std::move(reading);
  }

  row_batch copies(std::size_t count) const {
    row_batch rows(1);
    for (std::size_t i = 0; i < count; ++i) {
      rows.add_text(text);
      rows.commit_row();
    }
    return rows;
  }
};

TEST_F(postgres_characters, that_are_not_ours_let_nothing_in_until_they_are_again) {
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE texts (v text)");
    const std::string insert = "INSERT INTO texts (v) VALUES (?)";
    const std::pair<const char*, const char*> settings[] = {
        {"SET client_encoding = 'LATIN1'", "LATIN1"},
        {"SET NAMES 'SQL_ASCII'", "SQL_ASCII"},
        {"SELECT set_config('client_encoding', 'EUC_JP', false)", "EUC_JP"},
    };
    for (const auto& [statement, encoding] : settings)
      for (const char* back : {"SET NAMES 'UTF8'", "RESET client_encoding", "RESET ALL"}) {
        co_await c.query(statement);
        for (std::size_t count : {1, 3, 600}) {
          row_batch rows = copies(count);
          batch_report report;
          co_await expect_refused(c.insert_batch(texts, rows, report), encoding);
        }
        co_await expect_refused(execute(c, insert, parameters_of(text)), encoding);
        co_await expect_refused(read(c, "TABLE texts"), encoding);
        EXPECT_EQ(c.state(), session_state::clean);
        co_await c.execute(back);
        EXPECT_EQ(co_await c.execute("DELETE FROM texts"), 0u);
        co_await c.execute(insert, parameters_of(text));
        result stored = co_await c.query("SELECT v FROM texts WHERE v = ?", parameters_of(text));
        EXPECT_EQ(stored.rows.at(0).at(0), value(text)) << statement;
        co_await c.execute("DELETE FROM texts");
      }
  });
}

TEST_F(postgres_characters, of_a_transaction_are_ours_again_behind_it) {
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE texts (v text)");
    for (bool is_kept : {false, true}) {
      co_await c.begin();
      co_await c.execute("SAVEPOINT before");
      co_await c.execute("SET LOCAL client_encoding = 'LATIN1'");
      row_batch rows = copies(3);
      batch_report report;
      co_await expect_refused(c.insert_rows(texts, rows, report), "LATIN1");
      if (is_kept)
        co_await c.execute("ROLLBACK TO SAVEPOINT before");
      else
        co_await c.rollback();
      co_await c.execute("INSERT INTO texts (v) VALUES (?)", parameters_of(text));
      if (is_kept) co_await c.commit();
    }
    result stored = co_await c.query("SELECT count(*) FROM texts WHERE v = ?", parameters_of(text));
    EXPECT_EQ(stored.rows.at(0).at(0), value(std::int64_t{2}));
    co_await c.execute("SET client_encoding = 'LATIN1'");
    co_await c.reset();
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

class postgres_logins : public server_test {
 protected:
  postgres_logins() : server_test("TESTED_POSTGRESQL") {}

  static task<std::optional<db_errc>> failure_to_connect(std::string there) {
    std::optional<db_errc> errc;
    try {
      task<std::unique_ptr<connection>> connecting = database(there).connect();
      co_await std::move(connecting);
    } catch (const database_error& e) {
      errc = e.errc();
    }
    co_return errc;
  }
};

// What a server says of the account or of what is asked for stays so; a pool would wait for nothing.
TEST_F(postgres_logins, that_are_refused_are_told_as_they_are_classed) {
  with_connection([this](connection& c) -> task<> {
    co_await c.execute("CREATE ROLE penstock_crowded LOGIN PASSWORD 'only for tests' CONNECTION LIMIT 0");
    std::string crowded = url();
    std::size_t account = crowded.find("://") + 3;
    crowded.replace(account, crowded.find(':', account) - account, "penstock_crowded");
    EXPECT_EQ(co_await failure_to_connect(crowded), db_errc::too_many_connections);
    co_await c.execute("DROP ROLE penstock_crowded");
    ::setenv("PGTZ", "Nowhere/Land", 1);
    std::optional<db_errc> with_other_zone = co_await failure_to_connect(url());
    ::unsetenv("PGTZ");
    EXPECT_EQ(with_other_zone, db_errc::data);
  });
}

// As where a program beside it that reads from standbys is told so.
TEST_F(postgres_logins, go_by_the_url_and_not_by_what_the_environment_says_of_standbys) {
  with_connection([this](connection&) -> task<> {
    ::setenv("PGTARGETSESSIONATTRS", "standby", 1);
    std::optional<db_errc> failed = co_await failure_to_connect(url());
    ::unsetenv("PGTARGETSESSIONATTRS");
    EXPECT_EQ(failed, std::nullopt);
  });
}

class postgres_leftovers : public server_test {
 protected:
  postgres_leftovers() : server_test("TESTED_POSTGRESQL") {}
};

// A right, a lock or a subscription would be the next user's.
TEST_F(postgres_leftovers, of_statements_are_gone_after_a_reset) {
  struct leftover {
    const char* making;
    const char* is_there;
  };
  const leftover leftovers[] = {
      {"SET SESSION AUTHORIZATION pg_monitor", "SELECT session_user = 'pg_monitor'"},
      {"SET ROLE pg_monitor", "SELECT current_user = 'pg_monitor'"},
      {"SET work_mem = '77MB'", "SELECT current_setting('work_mem') = '77MB'"},
      {"SET my.setting = 'theirs'", "SELECT coalesce(current_setting('my.setting', true), '') = 'theirs'"},
      {"CREATE TEMPORARY TABLE left_behind (x integer)", "SELECT to_regclass('left_behind') IS NOT NULL"},
      {"SELECT pg_advisory_lock(1312)",
       "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())"},
      {"LISTEN left_behind", "SELECT EXISTS (SELECT FROM pg_listening_channels())"},
      {"DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1",
       "SELECT EXISTS (SELECT FROM pg_cursors WHERE name = 'left_behind')"},
  };
  with_connection([&](connection& c) -> task<> {
    for (const leftover& left : leftovers) {
      SCOPED_TRACE(left.making);
      co_await c.query(left.making);
      result before = co_await c.query(left.is_there);
      EXPECT_EQ(before.rows.at(0).at(0), value(true));
      EXPECT_TRUE(c.altered());
      co_await c.reset();
      EXPECT_EQ(c.state(), session_state::clean);
      EXPECT_FALSE(c.altered());
      result after = co_await c.query(left.is_there);
      EXPECT_EQ(after.rows.at(0).at(0), value(false));
    }
  });
}

class postgres_time_zones : public server_test {
 protected:
  postgres_time_zones() : server_test("TESTED_POSTGRESQL") {}

  static timestamp moment(std::size_t row) {
    return timestamp(std::chrono::microseconds(1'782'864'000'000'000 + static_cast<std::int64_t>(row)));
  }

  static row_batch moments(std::size_t count) {
    row_batch rows(1);
    for (std::size_t i = 0; i < count; ++i) {
      rows.add_timestamp(moment(i));
      rows.commit_row();
    }
    return rows;
  }

  static task<void> expect_stored(connection& c, std::size_t count) {
    task<result> reading = c.query("SELECT at FROM moments ORDER BY at");
    result stored = co_await std::move(reading);
    std::vector<std::vector<value>> expected;
    for (std::size_t i = 0; i < count; ++i)
      if (i != 1) expected.push_back({moment(i)});
    EXPECT_EQ(stored.rows, expected);
  }
};

// The second row is refused, so that parts of a batch go in anew; repeats are looked for by key beside a trigger.
TEST_F(postgres_time_zones, move_no_moment_however_many_rows_go_in_together) {
  struct shape {
    const char* name;
    bool has_key;
    bool has_trigger;
  };
  const shape shapes[] = {{"", false, false}, {" as a key", true, false}, {" as a key beside a trigger", true, true}};
  const std::string start =
      "CREATE TEMPORARY TABLE moments (id bigint GENERATED BY DEFAULT AS IDENTITY, at "
      "timestamp CHECK (extract(microseconds FROM at) <> 1)";
  with_connection([&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE FUNCTION pg_temp.judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$");
    for (const char* type : {"timestamp", "timestamptz"})
      for (const shape& s : shapes)
        for (std::size_t count : {1, 3, 40, 600}) {
          SCOPED_TRACE(type + std::string(s.name) + ", " + std::to_string(count));
          std::string making = start + (s.has_key ? " UNIQUE)" : ")");
          co_await c.execute(making);
          std::string altering = "ALTER TABLE moments ALTER at TYPE " + std::string(type);
          co_await c.execute(altering);
          if (s.has_trigger)
            co_await c.execute(
                "CREATE TRIGGER judged BEFORE INSERT ON moments FOR EACH ROW EXECUTE FUNCTION pg_temp.judge()");
          table_definition into{"moments", "id", {{"at", column_type::timestamp}}, {}};
          if (s.has_key) into.unique_key = {"at"};
          co_await c.execute("SET timezone = 'Asia/Tokyo'");
          row_batch rows = moments(count);
          batch_report report;
          co_await c.insert_batch(into, rows, report);
          co_await expect_stored(c, count);
          if (s.has_key) {
            co_await c.execute("SET timezone = 'America/New_York'");
            co_await c.insert_batch(into, rows, report);
            for (std::size_t i = 0; i < count; ++i)
              EXPECT_EQ(report.rows.at(i).what, i == 1 ? row_outcome::status::refused : row_outcome::status::duplicate);
            co_await expect_stored(c, count);
          }
          co_await c.execute("DROP TABLE moments");
          co_await c.execute("RESET timezone");
        }
  });
}

}  // namespace
}  // namespace penstock::db
