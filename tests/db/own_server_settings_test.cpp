#include "own_server.h"
#include "patience.h"
#include <penstock/db/row_batch.h>

// A MariaDB whose options set what a session here can't do with: each session sets it anew.

namespace penstock::db {
namespace {

using status = row_outcome::status;

class own_mariadb_with_other_settings : public own_server_test {
 protected:
  static task<std::int64_t> number(connection& c, std::string sql) {
    task<result> asking = c.query(std::move(sql));
    result r = co_await std::move(asking);
    co_return std::get<std::int64_t>(r.rows.at(0).at(0));
  }

  static std::size_t count(const batch_report& report, status what) {
    std::size_t n = 0;
    for (const row_outcome& row : report.rows) n += row.what == what ? 1 : 0;
    return n;
  }

  // In GBK, the byte before an escaping backslash may make a character of both, and the quote behind it ends the text.
  static task<void> expect_texts_kept(connection& c) {
    table_definition words{"words", "id", {{"word", column_type::text}}, {}};
    co_await c.execute("DROP TABLE IF EXISTS victim, words");
    co_await c.execute("CREATE TABLE victim(id INT)");
    co_await c.prepare_table(words);
    for (const std::string text : {"naïve 東京 🚰", "東'); DROP TABLE victim; -- "}) {
      row_batch rows(1);
      rows.add_text(text);
      rows.commit_row();
      batch_report report;
      co_await c.insert_batch(words, rows, report);
      EXPECT_EQ(count(report, status::stored), 1u);
      result r = co_await c.query("SELECT word FROM words ORDER BY id DESC LIMIT 1");
      EXPECT_TRUE(r.rows.at(0).at(0) == value(text));
    }
    std::int64_t left = co_await number(c, "SELECT count(*) FROM victim");
    EXPECT_EQ(left, 0);
  }

  static task<void> expect_refusals_and_duplicates_told(connection& c) {
    table_definition numbers{"numbers", "id", {{"n", column_type::integer}}, {"n"}};
    co_await c.execute("DROP TABLE IF EXISTS numbers");
    co_await c.execute(
        "CREATE TABLE numbers(id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT UNIQUE, CHECK (n % 5 <> 3))");
    std::size_t expected = 0;
    for (int count_of_rows : {1, 50, 600}) {
      row_batch rows(1);
      std::size_t bad = 0;
      for (int i = 0; i < count_of_rows; ++i) {
        std::int64_t n = 1'000 * count_of_rows + i;
        bad += n % 5 == 3 ? 1 : 0;
        rows.add_integer(n);
        rows.commit_row();
      }
      expected += rows.rows() - bad;
      for (bool again : {false, true}) {
        batch_report report;
        co_await c.insert_batch(numbers, rows, report);
        EXPECT_EQ(count(report, status::refused), bad);
        EXPECT_EQ(count(report, again ? status::duplicate : status::stored), rows.rows() - bad);
        std::int64_t there = co_await number(c, "SELECT count(*) FROM numbers");
        EXPECT_EQ(static_cast<std::size_t>(there), expected);
      }
    }
  }

  // A TIMESTAMP that takes no null stores the time instead.
  static task<void> expect_nulls_kept_or_called_drift(connection& c) {
    table_definition times{"times", "id", {{"at", column_type::timestamp}}, {}};
    co_await c.execute("DROP TABLE IF EXISTS times");
    co_await c.execute("CREATE TABLE times(id BIGINT AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP(6))");
    std::string said;
    try {
      co_await c.prepare_table(times);
    } catch (const database_error& e) {
      said = e.message();
    }
    EXPECT_NE(said.find("column 'at' stores the current time for null"), std::string::npos) << said;
    times.columns.front().required = true;
    co_await c.prepare_table(times);
  }

  // InnoDB takes rows in bulk into an empty table when it checks nothing.
  static task<void> expect_good_rows_there_after_a_bad_one(connection& c) {
    table_definition numbers{"checked", "id", {{"n", column_type::integer}}, {}};
    co_await c.execute("DROP TABLE IF EXISTS checked");
    co_await c.execute("CREATE TABLE checked(id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT CHECK (n < 300))");
    row_batch rows(1);
    for (int n = 0; n <= 300; ++n) {
      rows.add_integer(n);
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(numbers, rows, report);
    EXPECT_EQ(count(report, status::stored), 300u);
    std::int64_t there = co_await number(c, "SELECT count(*) FROM checked");
    EXPECT_EQ(there, 300);
  }
};

TEST_P(own_mariadb_with_other_settings, stores_and_tells_what_any_other_does) {
  start(
      "character_set_client_handshake=0 character_set_server=gbk collation_server=gbk_chinese_ci max_error_count=0 "
      "lc_messages=ja_JP completion_type=CHAIN explicit_defaults_for_timestamp=0");
  auto main = [&]() -> task<> {
    task<std::unique_ptr<connection>> administering = database(patient(url_)).connect();
    std::unique_ptr<connection> administrator = co_await std::move(administering);
    co_await administrator->execute("SET GLOBAL unique_checks=0, GLOBAL foreign_key_checks=0");
    task<std::unique_ptr<connection>> connecting = database(patient(url_)).connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    for (bool after_reset : {false, true}) {
      SCOPED_TRACE(after_reset ? "after a reset" : "at first");
      task<void> first = expect_texts_kept(*c);
      co_await std::move(first);
      task<void> second = expect_refusals_and_duplicates_told(*c);
      co_await std::move(second);
      task<void> third = expect_good_rows_there_after_a_bad_one(*c);
      co_await std::move(third);
      task<void> fourth = expect_nulls_kept_or_called_drift(*c);
      co_await std::move(fourth);
      co_await c->reset();
    }
  };
  net::run(main());
}

INSTANTIATE_TEST_SUITE_P(of, own_mariadb_with_other_settings, ::testing::Values(all_server_kinds[0]), name_of_kind);

}  // namespace
}  // namespace penstock::db
