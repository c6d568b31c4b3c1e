#include "mariadb_batch.h"
#include <penstock/async/cancel.h>
#include <penstock/async/task_group.h>
#include <penstock/async/yield.h>

// What a session's user sets, and its batches and statements go by.

namespace penstock::db {
namespace {

task<std::string> refusal_of(task<void> doing) {
  try {
    co_await std::move(doing);
  } catch (const database_error& e) {
    EXPECT_EQ(e.errc(), db_errc::other);
    co_return e.message();
  }
  co_return "nothing";
}

class mariadb_steps : public batch_test, public ::testing::WithParamInterface<const char*> {};

class mariadb_settings : public batch_test {
 protected:
  static constexpr const char* too_long = "too long";
  const table_definition moments{"moments", "id", {{"k", column_type::text}, {"at", column_type::timestamp}}, {}};

  static void fill(row_batch& rows, int count) {
    for (int i = 0; i < count; ++i) {
      rows.add_text(i == 0 ? too_long : "k");
      rows.add_timestamp(timestamp(std::chrono::seconds(1'700'000'000)));
      rows.commit_row();
    }
  }

  // The rows of what is stored, by a session that has our settings.
  static task<std::int64_t> count_as_given(connection& c) {
    value count =
        co_await ask(c, "SELECT count(*) FROM moments WHERE k = 'k' AND at = TIMESTAMP '2023-11-14 22:13:20'");
    co_return std::get<std::int64_t>(count);
  }
};

class mariadb_characters : public mariadb_test {
 protected:
  const table_definition texts{"texts", "id", {{"v", column_type::text}}, {}};

  static task<void> execute(connection& c, std::string sql, parameters values) {
    task<std::uint64_t> running = c.execute(std::move(sql), std::move(values));
    co_await std::move(running);
  }

  static task<void> expect_refused(connection& c, const table_definition& into, std::string setting) {
    const std::string text = "é誠\\'; DROP TABLE texts; -- ";
    row_batch rows(1);
    rows.add_text(text);
    rows.commit_row();
    batch_report report;
    std::string said = co_await refusal_of(c.insert_batch(into, rows, report));
    EXPECT_NE(said.find(setting), std::string::npos) << said;
    said = co_await refusal_of(execute(c, "INSERT INTO texts(v) VALUES (?)", parameters_of(text)));
    EXPECT_NE(said.find(setting), std::string::npos) << said;
    EXPECT_EQ(c.state(), session_state::clean);
  }
};

INSTANTIATE_TEST_SUITE_P(by, mariadb_steps, ::testing::ValuesIn(batch_test::ways), batch_test::name_of_way);

TEST_P(mariadb_steps, between_ids_that_a_user_sets_are_those_of_batches) {
  auto body = [&](connection& c) -> task<> {
    for (const char* setting : {"SET SESSION auto_increment_increment = 5, auto_increment_offset = 3",
                                "SET @@auto_increment_increment = 2", "SET auto_increment_increment = DEFAULT"}) {
      co_await c.execute(setting);
      for (int count : {3, 300, 2'500}) {
        co_await c.execute("DELETE FROM t");
        row_batch rows(3);
        add_good(rows, count);
        batch_report report;
        co_await c.insert_batch(table, rows, report);
        task<void> checking = expect_stored(c, rows, report);
        co_await std::move(checking);
      }
    }
  };
  with_table(body, GetParam());
}

TEST_F(mariadb_settings, that_change_values_without_a_word_let_no_batch_in_until_the_session_is_reset) {
  with_session([&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TABLE moments(id BIGINT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(5), at TIMESTAMP(6) NULL)");
    const std::pair<const char*, const char*> settings[] = {
        {"SET sql_mode = 'ANSI_QUOTES'", "sql_mode lacks STRICT_ALL_TABLES"},
        {"SET @@sql_mode = ''", "sql_mode lacks STRICT_ALL_TABLES"},
        {"SET sql_mode = 'STRICT_ALL_TABLES'", "sql_mode lacks ANSI_QUOTES"},
        {"SET sql_mode = 'STRICT_ALL_TABLES,ANSI_QUOTES,EMPTY_STRING_IS_NULL'", "sql_mode has EMPTY_STRING_IS_NULL"},
        {"SET time_zone = '+05:00'", "time_zone is '+05:00'"},
        {"SET @@time_zone = '-03:00'", "time_zone is '-03:00'"},
        {"SET sql_select_limit = 0", "sql_select_limit is '0'"},
        {"SET @@sql_select_limit = 1", "sql_select_limit is '1'"},
    };
    for (const auto& [statement, complaint] : settings) {
      if (is_mysql() && std::string_view(complaint).find("EMPTY") != std::string_view::npos) continue;
      for (int count : {1, 3, 700}) {
        row_batch rows(2);
        fill(rows, count);
        batch_report report;
        co_await c.execute(statement);
        std::string said = co_await refusal_of(c.insert_batch(moments, rows, report));
        EXPECT_NE(said.find(complaint), std::string::npos) << statement << ": " << said;
        EXPECT_EQ(c.state(), session_state::clean);
        co_await c.reset();
        co_await c.insert_batch(moments, rows, report);
        EXPECT_EQ(code_of(report, 0), "db.data") << statement;
        std::int64_t stored = co_await count_as_given(c);
        EXPECT_EQ(stored, count - 1) << statement;
        co_await c.execute("DELETE FROM moments");
      }
    }
  });
}

TEST_F(mariadb_settings, that_are_ours_by_other_words_let_batches_in) {
  with_session([&](connection& c) -> task<> {
    co_await c.prepare_table(moments);
    for (const char* setting : {"SET sql_mode = 'TRADITIONAL,ANSI_QUOTES'", "SET time_zone = '+00:00'",
                                "SET sql_select_limit = DEFAULT", "SET @@sql_select_limit = 18446744073709551615"}) {
      co_await c.execute(setting);
      row_batch rows(2);
      fill(rows, 3);
      batch_report report;
      co_await c.insert_batch(moments, rows, report);
      for (const row_outcome& row : report.rows) EXPECT_EQ(row.what, row_outcome::status::stored) << setting;
    }
    co_await c.reset();
    std::int64_t stored = co_await count_as_given(c);
    EXPECT_EQ(stored, 8);
  });
}

// With those of gbk, the end of one and the backslash behind it are a character, and the quote behind that ends the
// text.
TEST_F(mariadb_characters, that_are_not_ours_let_nothing_in_until_they_are_again) {
  with_session([&](connection& c) -> task<> {
    co_await c.prepare_table(texts);
    const std::pair<const char*, const char*> settings[] = {
        {"SET NAMES latin1", "character_set_client"},
        {"SET NAMES gbk", "character_set_client"},
        {"SET character_set_client = latin1", "character_set_client"},
        {"SET @@character_set_client = gbk", "character_set_client"},
        {"SET character_set_connection = ucs2", "character_set_connection"},
        {"SET character_set_results = latin1", "character_set_results"},
        {"SET character_set_results = utf16", "character_set_results is 'utf16'"},
        {"SET @@character_set_results = ucs2", "character_set_results is 'ucs2'"},
    };
    for (const auto& [statement, setting] : settings) {
      for (bool resets : {false, true}) {
        co_await c.execute(statement);
        task<void> refusing = expect_refused(c, texts, setting);
        co_await std::move(refusing);
        if (resets)
          co_await c.reset();
        else
          co_await c.execute("SET NAMES utf8mb4");
        co_await c.execute("INSERT INTO texts(v) VALUES (?)", parameters_of("é"));
        value stored = co_await ask(c, "SELECT DISTINCT v FROM texts");
        EXPECT_EQ(stored, value("é")) << statement;
      }
    }
  });
}

// The server has it, and its answer told so to nobody. The statement is prepared already, so that a cancel finds it
// sent.
TEST_F(mariadb_characters, that_a_cancelled_statement_has_set_garble_no_text) {
  with_session([&](connection& c) -> task<> {
    co_await c.prepare_table(texts);
    const std::string setting = "SET character_set_client = ?";
    co_await c.execute(setting, parameters_of("utf8mb4"));
    cancel_scope scope;
    task_group group;
    group.start(scope.run(execute(c, setting, parameters_of("latin1"))));
    co_await yield();
    scope.cancel();
    bool is_cut = false;
    try {
      co_await group.join();
    } catch (const operation_cancelled&) {
      is_cut = true;
    }
    EXPECT_TRUE(is_cut);
    co_await c.rollback();
    std::string said = co_await refusal_of(execute(c, "INSERT INTO texts(v) VALUES (?)", parameters_of("é")));
    EXPECT_NE(said.find("character_set_client"), std::string::npos) << said;
  });
}

}  // namespace
}  // namespace penstock::db
