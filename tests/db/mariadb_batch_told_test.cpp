#include "mariadb_batch.h"

// What the server tells of the rows that it dropped or refused, and what is made of it, by every way into it.

namespace penstock::db {
namespace {

using status = row_outcome::status;

class mariadb_batch_told : public batch_test, public ::testing::WithParamInterface<const char*> {
 protected:
  // A name is of at most ten characters for what the trigger runs, which has rows of its own: the server tells "at row
  // 1" for each.
  static inline const std::vector<std::string> judged{
      "CREATE TABLE named(id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60))",
      "CREATE TABLE audit(name VARCHAR(10))",
      "CREATE TRIGGER keep AFTER INSERT ON named FOR EACH ROW INSERT INTO audit VALUES (NEW.name)"};
  static inline const table_definition named{"named", "id", {{"name", column_type::text}}, {}};

  static std::string message_of(const batch_report& report, std::size_t row) {
    std::int32_t place = report.rows.at(row).refusal;
    return place < 0 ? std::string() : report.refusals.at(static_cast<std::size_t>(place)).message;
  }
};

// The rows are looked for in pieces, and in pieces of those.
TEST_P(mariadb_batch_told, of_another_row_than_the_refused_one_puts_no_row_before_an_earlier_one) {
  auto body = [&](connection& c) -> task<> {
    for (const std::string& sql : judged) co_await c.execute(sql);
    row_batch rows(1);
    for (int i = 0; i < 250; ++i) {
      rows.add_text(i == 100 ? "a name of more than ten" : "row" + std::to_string(i));
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(named, rows, report);
    EXPECT_EQ(report.refusals.size(), 1u);
    EXPECT_EQ(report.rows.at(100).what, status::refused);
    std::int64_t before = 0;
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      if (i == 100) continue;
      EXPECT_GT(report.rows.at(i).id, before) << i;
      before = report.rows[i].id;
    }
    value count = co_await ask(c, "SELECT count(*) FROM named");
    EXPECT_EQ(count, value(std::int64_t{249}));
  };
  with_session(body, GetParam());
}

// Otherwise what is counted as dropped would be stored once more, or told as stored and be lost.
TEST_P(mariadb_batch_told, of_fewer_rows_than_were_dropped_is_not_believed) {
  auto body = [&](connection& c) -> task<> {
    co_await c.execute(table_sql());
    for (int kept : {0, 1, 2, 4}) {
      co_await c.execute("SET max_error_count = " + std::to_string(kept));
      row_batch rows(3);
      for (int i = 0; i < 600; ++i) add(rows, i % 100 == 7 ? 1 : 2, "row" + std::to_string(i));
      batch_report report;
      co_await c.insert_batch(table, rows, report);
      for (std::size_t i = 0; i < rows.rows(); ++i) {
        EXPECT_EQ(report.rows.at(i).what, i % 100 == 7 ? status::refused : status::stored) << i;
        if (report.rows[i].what != status::refused) continue;
        EXPECT_EQ(code_of(report, i), "db.constraint");
        EXPECT_NE(message_of(report, i), "");
      }
      task<void> checking = expect_stored(c, rows, report);
      co_await std::move(checking);
      co_await c.execute("DELETE FROM t");
    }
  };
  with_session(body, GetParam());
}

// A row that failed a check is none of those that a LOAD DATA counts.
TEST_P(mariadb_batch_told, of_some_rows_that_failed_a_check_costs_few_round_trips) {
  with_table(
      [&](connection& c) -> task<> {
        row_batch rows(3);
        for (int i = 0; i < 1'000; ++i) add(rows, i % 200 == 7 ? 1 : 2 * i, "row" + std::to_string(i));
        batch_report report;
        co_await c.insert_batch(table, rows, report);
        EXPECT_EQ(report.refusals.size(), 5u);
        for (std::size_t i = 0; i < rows.rows(); ++i)
          EXPECT_EQ(report.rows.at(i).what, i % 200 == 7 ? status::refused : status::stored) << i;
        bool bears_refusals = !is_mysql() && std::string_view(GetParam()) != "bulk=values";
        if (bears_refusals) {
          EXPECT_TRUE(report.method == "bulk_ignore" || report.method == "load_data") << report.method;
        }
        task<void> checking = expect_stored(c, rows, report);
        co_await std::move(checking);
      },
      GetParam());
}

INSTANTIATE_TEST_SUITE_P(ways, mariadb_batch_told, ::testing::ValuesIn(batch_test::ways), batch_test::name_of_way);

}  // namespace
}  // namespace penstock::db
