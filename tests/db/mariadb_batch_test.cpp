#include "mariadb_batch.h"

#include <penstock/async/gather.h>

#include <array>

// Batches with rows that the database refuses, or has already, by every way into it.

namespace penstock::db {
namespace {

using status = row_outcome::status;

class mariadb_batch : public batch_test, public ::testing::WithParamInterface<const char*> {
 protected:
  template <class Body>
  void with_table(Body body) {
    batch_test::with_table(std::move(body), GetParam());
  }
};

TEST_P(mariadb_batch, stores_a_clean_batch_in_few_round_trips) {
  with_table([&](connection& c) -> task<> {
    row_batch rows(3);
    add_good(rows, 1'000);
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    EXPECT_LE(report.round_trips, 4u);
    EXPECT_TRUE(report.refusals.empty());
    task<void> checking = expect_stored(c, rows, report);
    co_await std::move(checking);
  });
}

TEST_P(mariadb_batch, takes_one_round_trip_for_one_row) {
  with_table([&](connection& c) -> task<> {
    row_batch rows(3);
    add_good(rows, 1);
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.round_trips, 1u);
    EXPECT_GT(report.rows.at(0).id, 0);
  });
}

// Each kind of refusal, alone among a thousand good rows.
TEST_P(mariadb_batch, sets_one_bad_row_of_a_thousand_apart_in_a_dozen_round_trips) {
  struct bad {
    std::optional<std::int64_t> n;
    std::string name;
    std::optional<std::int64_t> code;
    std::string_view refusal;
  };
  const std::array<bad, 5> kinds{{{1, "odd", {}, "db.constraint"},
                                  {std::nullopt, "null", {}, "db.constraint"},
                                  {4'000'000'000, "large", {}, "db.data"},
                                  {2, "a name that is longer than twenty", {}, "db.data"},
                                  {2, "code", 7, "db.constraint"}}};
  for (const bad& kind : kinds) {
    for (std::size_t place : {std::size_t{0}, std::size_t{617}, std::size_t{999}}) {
      auto body = [&](connection& c) -> task<> {
        co_await c.execute("DROP TABLE IF EXISTS t");
        co_await c.execute(table_sql());
        co_await c.execute("INSERT INTO t(n, name, code) VALUES (0, 'first', 7)");
        row_batch rows(3);
        for (std::size_t i = 0; i < 1'000; ++i) {
          if (i == place)
            add(rows, kind.n, kind.name, kind.code);
          else
            add(rows, 2 * static_cast<std::int64_t>(i), "row" + std::to_string(i));
        }
        batch_report report;
        co_await c.insert_batch(table, rows, report);
        EXPECT_LE(report.round_trips, 4u + 12u) << kind.name << " at " << place;
        EXPECT_EQ(report.refusals.size(), 1u);
        EXPECT_EQ(code_of(report, place), kind.refusal) << kind.name << " at " << place;
        task<void> checking = expect_stored(c, rows, report, 1);
        co_await std::move(checking);
      };
      with_session(body, GetParam());
    }
  }
}

TEST_P(mariadb_batch, answers_for_every_one_of_a_thousand_bad_rows) {
  with_table([&](connection& c) -> task<> {
    row_batch rows(3);
    for (int i = 0; i < 1'000; ++i) add(rows, 2 * i + 1, "row" + std::to_string(i));
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.refusals.size(), 1'000u);
    if (!is_mysql()) {  // it has no compound statements
      EXPECT_LE(report.round_trips, 20u);
    }
    task<void> checking = expect_stored(c, rows, report);
    co_await std::move(checking);
  });
}

TEST_P(mariadb_batch, sets_several_bad_rows_apart) {
  with_table([&](connection& c) -> task<> {
    row_batch rows(3);
    for (int i = 0; i < 1'000; ++i) {
      if (i % 97 == 5)
        add(rows, i % 2 == 0 ? std::optional<std::int64_t>(1) : std::nullopt, "bad" + std::to_string(i));
      else
        add(rows, 2 * i, "row" + std::to_string(i));
    }
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.refusals.size(), 11u);
    for (std::size_t i = 0; i < 1'000; ++i)
      EXPECT_EQ(report.rows[i].what, i % 97 == 5 ? status::refused : status::stored) << i;
    task<void> checking = expect_stored(c, rows, report);
    co_await std::move(checking);
  });
}

// An odd number of rows, of which some are refused in a way that the server may take for a warning, and one too long to
// go with others.
TEST_P(mariadb_batch, sets_bad_rows_apart_beside_a_very_long_one) {
  auto body = [&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TABLE long_texts(id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL CHECK (n % 2 = 0), body "
        "LONGTEXT)");
    const table_definition into{
        "long_texts", "id", {{"n", column_type::integer, true}, {"body", column_type::text}}, {}};
    for (int round = 0; round < 2; ++round) {
      row_batch rows(2);
      for (int i = 0; i < 601; ++i) {
        rows.add_integer(i == 5 ? 1 : i == 300 ? 4'000'000'000 : 2 * i);
        rows.add_text(i == 7 ? std::string(3'000'000, 'x') : "body " + std::to_string(i));
        rows.commit_row();
      }
      batch_report report;
      co_await c.insert_batch(into, rows, report);
      EXPECT_EQ(report.refusals.size(), 2u);
      EXPECT_EQ(code_of(report, 5), "db.constraint");
      EXPECT_EQ(code_of(report, 300), "db.data");
      for (std::size_t row : {std::size_t{0}, std::size_t{4}, std::size_t{6}, std::size_t{7}, std::size_t{600}}) {
        value stored =
            co_await ask(c, "SELECT body FROM long_texts WHERE id = ?", parameters_of(report.rows.at(row).id));
        EXPECT_TRUE(stored == value(std::string(rows.row(row)[1].text()))) << row;
      }
      value count = co_await ask(c, "SELECT count(*) FROM long_texts");
      EXPECT_EQ(count, value(std::int64_t{599 * (round + 1)}));
    }
  };
  with_session(body, GetParam());
}

// Each of its values is shorter than a packet, and both are longer.
TEST_P(mariadb_batch, stores_a_row_that_is_longer_than_a_packet_beside_others) {
  auto body = [&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE pairs(id BIGINT AUTO_INCREMENT PRIMARY KEY, a LONGTEXT, b LONGTEXT)");
    const table_definition into{"pairs", "id", {{"a", column_type::text}, {"b", column_type::text}}, {}};
    value limit = co_await ask(c, "SELECT @@max_allowed_packet");
    const std::string large(static_cast<std::size_t>(std::get<std::int64_t>(limit)) * 6 / 10, 'x');
    row_batch rows(2);
    for (int i = 0; i < 600; ++i) {
      rows.add_text(i == 7 ? std::string_view(large) : std::string_view("a"));
      rows.add_text(i == 7 ? large : std::to_string(i));
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(into, rows, report);
    EXPECT_TRUE(report.refusals.empty());
    value count = co_await ask(c, "SELECT count(*) FROM pairs");
    EXPECT_EQ(count, value(std::int64_t{600}));
    value length =
        co_await ask(c, "SELECT LENGTH(a) + LENGTH(b) FROM pairs WHERE id = ?", parameters_of(report.rows.at(7).id));
    EXPECT_EQ(length, value(static_cast<std::int64_t>(2 * large.size())));
    for (std::size_t row : {std::size_t{0}, std::size_t{8}, std::size_t{599}}) {
      value b = co_await ask(c, "SELECT b FROM pairs WHERE id = ?", parameters_of(report.rows.at(row).id));
      EXPECT_EQ(b, value(std::to_string(row)));
    }
  };
  with_session(body, GetParam());
}

// A server that keeps fewer warnings than there were does not tell which rows it dropped.
TEST_P(mariadb_batch, sets_more_bad_rows_apart_than_the_server_keeps_warnings) {
  with_table([&](connection& c) -> task<> {
    co_await c.execute("SET max_error_count = 2");
    for (std::size_t round = 0; round < 2; ++round) {
      row_batch rows(3);
      for (int i = 0; i < 1'000; ++i)
        add(rows, i % 200 == 7 ? 1 : 2 * i, std::to_string(round) + "/" + std::to_string(i));
      batch_report report;
      co_await c.insert_batch(table, rows, report);
      EXPECT_EQ(report.refusals.size(), 5u);
      for (std::size_t i = 0; i < 1'000; ++i)
        EXPECT_EQ(report.rows[i].what, i % 200 == 7 ? status::refused : status::stored) << i;
      task<void> checking = expect_stored(c, rows, report, 995 * round);
      co_await std::move(checking);
    }
  });
}

TEST_P(mariadb_batch, tells_rows_that_are_there_already) {
  with_table([&](connection& c) -> task<> {
    row_batch first(3);
    add_good(first, 500);
    batch_report report;
    co_await c.insert_batch(table, first, report);
    for (int round = 0; round < 2; ++round) {
      row_batch rows(3);
      std::string prefix = "new" + std::to_string(round) + "-";
      for (int i = 0; i < 500; ++i) {
        add(rows, 2 * i, "row" + std::to_string(i));
        add(rows, 2 * i, prefix + std::to_string(i));
      }
      co_await c.insert_batch(table, rows, report);
      EXPECT_TRUE(report.refusals.empty());
      EXPECT_LE(report.round_trips, 20u);
      for (std::size_t i = 0; i < 1'000; ++i)
        EXPECT_EQ(report.rows[i].what, i % 2 == 0 ? status::duplicate : status::stored) << i;
      task<void> checking = expect_stored(c, rows, report, 500 * (static_cast<std::size_t>(round) + 1));
      co_await std::move(checking);
    }
  });
}

TEST_P(mariadb_batch, stores_the_first_of_rows_that_repeat_each_other) {
  with_table([&](connection& c) -> task<> {
    row_batch rows(3);
    for (int i = 0; i < 900; ++i) add(rows, 2 * i, "row" + std::to_string(i % 300));
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    for (std::size_t i = 0; i < 900; ++i)
      EXPECT_EQ(report.rows[i].what, i < 300 ? status::stored : status::duplicate) << i;
    task<void> checking = expect_stored(c, rows, report);
    co_await std::move(checking);
  });
}

TEST_P(mariadb_batch, stores_a_row_whose_like_was_refused) {
  with_table([&](connection& c) -> task<> {
    row_batch rows(3);
    add_good(rows, 500);
    add(rows, 1, "twice");
    add(rows, 2, "twice");
    add(rows, 4, "twice");
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.rows[500].what, status::refused);
    EXPECT_EQ(report.rows[501].what, status::stored);
    EXPECT_EQ(report.rows[502].what, status::duplicate);
    task<void> checking = expect_stored(c, rows, report);
    co_await std::move(checking);
  });
}

TEST_P(mariadb_batch, takes_keys_for_the_same_that_the_collation_takes_so) {
  with_table([&](connection& c) -> task<> {
    co_await c.execute("ALTER TABLE t MODIFY name VARCHAR(20) COLLATE utf8mb4_general_ci");
    row_batch rows(3);
    add_good(rows, 500);
    add(rows, 2, "ROW7");
    batch_report report;
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.rows[500].what, status::duplicate);
    task<void> checking = expect_stored(c, rows, report);
    co_await std::move(checking);
  });
}

TEST_P(mariadb_batch, keeps_what_the_transaction_did_before_it) {
  with_table([&](connection& c) -> task<> {
    co_await c.begin();
    co_await c.execute("INSERT INTO t(n, name) VALUES (0, 'before')");
    row_batch rows(3);
    add_good(rows, 500);
    add(rows, 1, "odd");
    batch_report report;
    co_await c.insert_rows(table, rows, report);
    co_await c.commit();
    task<void> checking = expect_stored(c, rows, report, 1);
    co_await std::move(checking);
  });
}

TEST_P(mariadb_batch, gives_right_ids_beside_other_sessions) {
  with_table([&](connection& c) -> task<> {
    auto writer = [&](int number) -> task<void> {
      task<std::unique_ptr<connection>> connecting = connect(GetParam());
      std::unique_ptr<connection> mine = co_await std::move(connecting);
      row_batch rows(3);
      batch_report report;
      for (int round = 0; round < 5; ++round) {
        rows.clear();
        add_good(rows, 300, std::to_string(number) + "/" + std::to_string(round) + "/");
        co_await mine->insert_batch(table, rows, report);
        for (std::size_t r = 0; r < rows.rows(); r += 50) {
          value name = co_await ask(*mine, "SELECT name FROM t WHERE id = ?", parameters_of(report.rows[r].id));
          EXPECT_EQ(name, value(std::string(rows.row(r)[1].text())));
        }
      }
    };
    std::vector<task<void>> writers;
    for (int i = 0; i < 4; ++i) writers.push_back(writer(i));
    co_await gather(std::move(writers));
    value count = co_await ask(c, "SELECT count(*) FROM t");
    EXPECT_EQ(count, value(std::int64_t{4 * 5 * 300}));
  });
}

class mariadb_batch_choice : public batch_test {};

// Arrays are undone as a whole: while rows are refused they are not tried, whatever goes into other tables in between.
TEST_F(mariadb_batch_choice, is_of_the_way_that_bears_refusals_until_there_are_none) {
  if (is_mysql()) GTEST_SKIP() << "MySQL has no array binding";
  auto body = [&](connection& c) -> task<> {
    const table_definition other{"other", "id", {{"n", column_type::integer}}, {}};
    co_await c.prepare_table(other);
    std::vector<std::string> methods;
    batch_report report;
    for (int round = 0; round < 3; ++round) {
      row_batch rows(3);
      add_good(rows, 500, std::to_string(round) + "/");
      if (round == 0) add(rows, 1, "odd");
      co_await c.insert_batch(table, rows, report);
      methods.emplace_back(report.method);
      row_batch one(1);
      one.add_integer(1);
      one.commit_row();
      co_await c.insert_batch(other, one, report);
    }
    EXPECT_NE(methods[0], "bulk");  // MariaDB 10.6 does not tell which row it was, and gets INSERTs
    EXPECT_TRUE(methods[1] == "bulk_ignore" || methods[1] == "load_data") << methods[1];  // 10.6 has the latter
    EXPECT_EQ(methods[2], "bulk");
  };
  with_table(body, "");
}

TEST_P(mariadb_batch, takes_a_table_without_its_key_behind_one_that_had_duplicates_by_it) {
  table_definition without_key = table;
  without_key.unique_key.clear();
  with_table([&](connection& c) -> task<> {
    for (int round = 0; round < 2; ++round) {
      row_batch rows(3);
      add_good(rows, 40);
      batch_report report;
      co_await c.insert_batch(table, rows, report);
      EXPECT_EQ(report.rows.at(0).what, round == 0 ? status::stored : status::duplicate);
    }
    for (int count : {10, 600}) {
      row_batch rows(3);
      add_good(rows, count, "more" + std::to_string(count) + "_");
      batch_report report;
      co_await c.insert_batch(without_key, rows, report);
      for (const row_outcome& outcome : report.rows) EXPECT_EQ(outcome.what, status::stored);
    }
  });
}

TEST_F(mariadb_batch_choice, asks_once_for_the_key_of_a_table_that_was_not_prepared) {
  auto body = [&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE keyed(n BIGINT PRIMARY KEY)");
    const table_definition keyed{"keyed", "", {{"n", column_type::integer, true}}, {"n"}};
    std::vector<std::size_t> round_trips;
    for (std::int64_t n = 0; n < 3; ++n) {
      row_batch rows(1);
      rows.add_integer(n);
      rows.commit_row();
      batch_report report;
      co_await c.insert_batch(keyed, rows, report);
      round_trips.push_back(report.round_trips);
    }
    EXPECT_EQ(round_trips, (std::vector<std::size_t>{2, 1, 1}));
  };
  with_table(body, "");
}

INSTANTIATE_TEST_SUITE_P(ways, mariadb_batch, ::testing::ValuesIn(batch_test::ways), batch_test::name_of_way);

}  // namespace
}  // namespace penstock::db
