#include "mariadb_batch.h"

// What a session's user sets, and its batches and statements go by.

namespace penstock::db {
namespace {

class mariadb_steps : public batch_test, public ::testing::WithParamInterface<const char*> {};

class mariadb_characters : public mariadb_test {
 protected:
  const table_definition texts{"texts", "id", {{"v", column_type::text}}, {}};

  static task<std::string> refusal_of(task<void> doing) {
    try {
      co_await std::move(doing);
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::other);
      co_return e.message();
    }
    co_return "nothing";
  }

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

}  // namespace
}  // namespace penstock::db
