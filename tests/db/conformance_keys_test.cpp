#include "conformance_fixture.h"

#include <algorithm>
#include <string>
#include <vector>

// Rows that are found by their table's key.

namespace penstock::db {
namespace {

class conformance_keys : public conformance_test {
 protected:
  static table_definition parcels() {
    return {
        table_name(),
        "id",
        {{"sender", column_type::text, true}, {"label", column_type::text, true}, {"n", column_type::integer, true}},
        {"sender", "label"}};
  }

  // Of two senders, the second of whom has all labels too. Numbered from 1 on; the second one's are negative.
  static task<void> store(connection& c, const std::vector<std::string>& labels) {
    const table_definition table = parcels();
    task<void> making = c.prepare_table(table);
    co_await std::move(making);
    row_batch rows(3);
    for (int sign : {1, -1}) {
      for (std::size_t i = 0; i < labels.size(); ++i) {
        rows.add_text(sign > 0 ? "first" : "second");
        rows.add_text(labels[i]);
        rows.add_integer(sign * static_cast<std::int64_t>(i + 1));
        rows.commit_row();
      }
    }
    batch_report report;
    task<void> inserting = c.insert_batch(table, rows, report);
    co_await std::move(inserting);
    EXPECT_TRUE(report.refusals.empty());
  }

  // The numbers of those that are found, in order.
  static task<std::vector<std::int64_t>> find(connection& c, std::string sender, std::vector<std::string> labels) {
    const table_definition table = parcels();
    task<result> finding = c.find_by_key(table, {"label", "n"}, parameters_of(std::move(sender)), std::move(labels));
    result found = co_await std::move(finding);
    std::vector<std::int64_t> numbers;
    for (const std::vector<value>& row : found.rows) numbers.push_back(std::get<std::int64_t>(row.at(1)));
    std::sort(numbers.begin(), numbers.end());
    co_return numbers;
  }

  static task<void> prepare_table(connection& c) {
    const table_definition table = parcels();
    task<void> making = c.prepare_table(table);
    co_await std::move(making);
  }
};

using numbers = std::vector<std::int64_t>;

// GCC 12 does not compile a braced list beside a co_await.
template <class... T>
numbers those(T... n) {
  return {std::int64_t{n}...};
}

template <class... T>
std::vector<std::string> list(T... text) {
  return {std::string(text)...};
}

INSTANTIATE_TEST_SUITE_P(db, conformance_keys, ::testing::ValuesIn(all_databases), name_of_tested);

TEST_P(conformance_keys, of_one_start_are_found_and_no_others) {
  with_connection([](database&, connection& c) -> task<> {
    co_await store(c, list("a", "b", "c"));
    for (bool in_transaction : {false, true}) {
      if (in_transaction) co_await c.begin();
      for (int again = 0; again < 8; ++again) {  // plans are made anew up to some time
        EXPECT_EQ(co_await find(c, "first", list("c", "a", "d")), those(1, 3));
        EXPECT_EQ(co_await find(c, "second", list("b")), those(-2));
        EXPECT_EQ(co_await find(c, "second", list("d", "e", "f")), numbers());
        EXPECT_EQ(co_await find(c, "third", list("a", "b")), numbers());
        EXPECT_EQ(co_await find(c, "first", list()), numbers());
      }
      if (in_transaction) co_await c.commit();
    }
    EXPECT_EQ(c.state(), session_state::clean);
    EXPECT_FALSE(c.altered());
  });
}

TEST_P(conformance_keys, may_be_any_text) {
  with_connection([](database&, connection& c) -> task<> {
    const std::vector<std::string> odd = {"",    "'",         "\"",   "\\",     ",",          "{",     "}",
                                          "{}",  "{\"a\",b}", " ",    " a ",    "NULL",       "?",     "$1",
                                          "a\\", "a\"b",      "\\\"", "\n\t\r", "%",          "\\x41", "\\\\\\",
                                          "--a", "/* a",      "ä€𝄞",  "\x01",   "[0:1]={a,b}"};
    co_await store(c, odd);
    numbers all;
    for (std::size_t i = 0; i < odd.size(); ++i) {
      all.push_back(static_cast<std::int64_t>(i + 1));
      EXPECT_EQ(co_await find(c, "first", list(odd[i])), numbers(1, all.back())) << i << ": " << odd[i];
    }
    EXPECT_EQ(co_await find(c, "first", odd), all);
  });
}

TEST_P(conformance_keys, may_be_very_many) {
  with_connection([](database&, connection& c) -> task<> {
    std::vector<std::string> labels;
    numbers all;
    for (int i = 1; i <= 3'000; ++i) {
      labels.push_back("label " + std::to_string(i));
      all.push_back(i);
    }
    co_await store(c, labels);
    std::vector<std::string> asked_for = labels;
    for (int i = 0; i < 40'000; ++i) asked_for.push_back("none " + std::to_string(i));
    std::reverse(asked_for.begin(), asked_for.end());
    EXPECT_EQ(co_await find(c, "first", asked_for), all);
  });
}

TEST_P(conformance_keys, are_those_of_the_open_transaction_too) {
  with_connection([](database&, connection& c) -> task<> {
    co_await store(c, list("a"));
    const std::string name = c.quoted_table(table_name());
    co_await c.begin();
    co_await c.execute("INSERT INTO " + name + " (sender, label, n) VALUES ('first', 'b', 2)");
    EXPECT_EQ(co_await find(c, "first", list("a", "b")), those(1, 2));
    co_await c.execute("INSERT INTO " + name + " (sender, label, n) VALUES ('first', 'c', 3)");
    co_await c.commit();
    EXPECT_EQ(co_await find(c, "first", list("a", "b", "c")), those(1, 2, 3));
  });
}

TEST_P(conformance_keys, are_given_whole) {
  with_connection([](database&, connection& c) -> task<> {
    co_await store(c, list("a"));
    const table_definition table = parcels();
    for (std::size_t too_many : {0, 2}) {
      parameters first(too_many, value(std::string("first")));
      std::vector<std::string> labels{"a"};
      task<result> finding = c.find_by_key(table, {"n"}, std::move(first), std::move(labels));
      EXPECT_EQ(co_await failure_of(std::move(finding)), db_errc::syntax) << too_many;
    }
    EXPECT_EQ(c.state(), session_state::clean);
  });
}

TEST_P(conformance_keys, of_a_table_that_is_not_there_are_an_error_that_a_transaction_ends_with) {
  with_connection([](database&, connection& c) -> task<> {
    co_await c.begin();
    EXPECT_NE(co_await failure_of(find(c, "first", list("a"))), std::nullopt);
    co_await c.rollback();
    EXPECT_EQ(c.state(), session_state::clean);
    co_await prepare_table(c);
    EXPECT_EQ(co_await find(c, "first", list("a")), numbers());
  });
}

// Of a table that was not made by its definition: rows that repeat a key would be stored as well.
TEST_P(conformance_keys, that_the_table_does_not_have_fail_the_batch) {
  with_connection([](database& here, connection& c) -> task<> {
    const table_definition table{table_name(), "", {{"n", column_type::integer, true}}, {"n"}};
    const std::string name = quote_identifier(table.name);
    co_await c.execute("CREATE TABLE " + name + " (n BIGINT NOT NULL, other BIGINT, UNIQUE (n, other))");
    row_batch rows(1);
    for (std::int64_t n : {1, 2, 1}) {
      rows.add_integer(n);
      rows.commit_row();
    }
    batch_report report;
    task<std::unique_ptr<connection>> connecting = here.connect();
    std::unique_ptr<connection> second = co_await std::move(connecting);
    for (connection* session : {&c, second.get(), &c}) {
      task<std::optional<db_errc>> failing = failure_of(session->insert_batch(table, rows, report));
      EXPECT_EQ(co_await std::move(failing), db_errc::syntax);
    }
    task<std::int64_t> counting = count(c, name);
    EXPECT_EQ(co_await std::move(counting), 0);
    co_await c.execute("CREATE UNIQUE INDEX by_n_" + table.name + " ON " + name + " (n)");
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.rows.at(1).what, row_outcome::status::stored);
    EXPECT_EQ(report.rows.at(2).what, row_outcome::status::duplicate);
  });
}

}  // namespace
}  // namespace penstock::db
