#include "conformance_fixture.h"

#include <string>
#include <vector>

// Rows that the database refuses for what the table gives them itself: no row is to blame for that.

namespace penstock::db {
namespace {

using status = row_outcome::status;

// "{}" stands for the test's table, "{b}" for another one.
struct made_table {
  const char* what;
  std::vector<std::string> sql;
  std::optional<db_errc> fault;  // of the table; otherwise every row is refused
};

class conformance_table_faults : public conformance_test {
 protected:
  std::string in_place(std::string sql) const {
    for (const auto& [place, suffix] : {std::pair{"{}", ""}, std::pair{"{b}", "_b"}})
      for (std::size_t at = sql.find(place); at != sql.npos; at = sql.find(place))
        sql.replace(at, std::string_view(place).size(), quote_identifier(table_name(suffix)));
    return sql;
  }

  std::vector<made_table> tables() const {
    if (is_postgresql()) {
      const std::string audit =
          "CREATE OR REPLACE FUNCTION pg_temp.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO {b} "
          "VALUES (1); RETURN NEW; END $$";
      return {
          {"ids that others have",
           {"CREATE TABLE {} (id bigserial PRIMARY KEY, n bigint)",
            "INSERT INTO {} (id) SELECT i FROM generate_series(1, 5000) AS i"},
           db_errc::table_drift},
          {"no partition for now",
           {"CREATE TABLE {} (id bigserial, n bigint, made timestamptz DEFAULT now()) PARTITION BY RANGE (made)",
            "CREATE TABLE {b} PARTITION OF {} FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"},
           db_errc::table_drift},
          {"a column without a value",
           {"CREATE TABLE {} (id bigserial PRIMARY KEY, n bigint, must bigint NOT NULL)"},
           db_errc::table_drift},
          {"ids beyond their column",
           {"CREATE TABLE {} (id bigserial PRIMARY KEY, n bigint)", "ALTER TABLE {} ALTER id TYPE integer",
            "SELECT setval(pg_get_serial_sequence('{}', 'id'), 2147483647)"},
           db_errc::full},
          {"ids beyond their column of a domain",
           {"CREATE TABLE {} (id bigserial PRIMARY KEY, n bigint)",
            "ALTER TABLE {} ALTER id TYPE information_schema.cardinal_number",
            "SELECT setval(pg_get_serial_sequence('{}', 'id'), 2147483647)"},
           db_errc::full},
          {"a value beyond what is computed from it",
           {"CREATE TABLE {} (id bigserial PRIMARY KEY, n bigint, g smallint GENERATED ALWAYS AS ((n + "
            "40000)::smallint) "
            "STORED)",
            "ALTER TABLE {} ALTER id TYPE integer"},
           std::nullopt},
          {"ids that are made of a row",
           {"CREATE TABLE {} (n bigint, id bigint GENERATED ALWAYS AS (n) STORED PRIMARY KEY)",
            "INSERT INTO {} (n) SELECT i FROM generate_series(0, 5000) AS i"},
           std::nullopt},
          {"no partition for the day",
           {"CREATE TABLE {} (id bigserial, n bigint, made timestamp DEFAULT now()) PARTITION BY RANGE ((made::date))",
            "CREATE TABLE {b} PARTITION OF {} FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"},
           db_errc::table_drift},
          {"no partition for now, above some for what a row has",
           {"CREATE TABLE {} (id bigserial, n bigint, made timestamptz DEFAULT now()) PARTITION BY RANGE (made)",
            "CREATE TABLE {b} PARTITION OF {} FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY RANGE (n)"},
           db_errc::table_drift},
          {"no partition for now, below one for what a row has",
           {"CREATE TABLE {} (id bigserial, n bigint, made timestamptz DEFAULT now()) PARTITION BY RANGE (n)",
            "CREATE TABLE {b} PARTITION OF {} FOR VALUES FROM (MINVALUE) TO (MAXVALUE) PARTITION BY RANGE (made)"},
           std::nullopt},
          {"no partition for what a row has",
           {"CREATE TABLE {} (id bigserial, n bigint) PARTITION BY RANGE (n)",
            "CREATE TABLE {b} PARTITION OF {} FOR VALUES FROM (-9) TO (-1)"},
           std::nullopt},
          {"another unique index",
           {"CREATE TABLE {} (id bigserial PRIMARY KEY, n bigint UNIQUE)",
            "INSERT INTO {} (n) SELECT i FROM generate_series(0, 5000) AS i"},
           std::nullopt},
          {"another unique index, with the ids beside",
           {"CREATE TABLE {} (id bigserial PRIMARY KEY, n bigint)", "CREATE UNIQUE INDEX ON {} (n) INCLUDE (id)",
            "INSERT INTO {} (n) SELECT i FROM generate_series(0, 5000) AS i"},
           std::nullopt},
          {"a column that is computed",
           {"CREATE TABLE {} (id bigserial PRIMARY KEY, n bigint, g bigint GENERATED ALWAYS AS (NULLIF(n, n)) STORED "
            "NOT "
            "NULL)"},
           std::nullopt},
          {"a trigger's table",
           {"CREATE TABLE {} (id bigserial PRIMARY KEY, n bigint)", "CREATE TABLE {b} (id bigint PRIMARY KEY)",
            "INSERT INTO {b} VALUES (1)", audit,
            "CREATE TRIGGER note AFTER INSERT ON {} FOR EACH ROW EXECUTE FUNCTION pg_temp.note()"},
           std::nullopt},
      };
    }
    return {
        {"no id left",
         {"CREATE TABLE {} (id TINYINT AUTO_INCREMENT PRIMARY KEY, n BIGINT)", "INSERT INTO {} (id) VALUES (127)"},
         is_mysql() ? db_errc::table_drift : db_errc::full},
        {"no partition for now",
         {"CREATE TABLE {} (id BIGINT AUTO_INCREMENT, n BIGINT, made DATETIME NOT NULL DEFAULT NOW(), PRIMARY KEY (id, "
          "made)) PARTITION BY RANGE COLUMNS(made) (PARTITION old VALUES LESS THAN ('2021-01-01'))"},
         db_errc::table_drift},
        {"no partition for what a row has",
         {"CREATE TABLE {} (id BIGINT AUTO_INCREMENT, n BIGINT NOT NULL, PRIMARY KEY (id, n)) PARTITION BY RANGE "
          "COLUMNS(n) (PARTITION low VALUES LESS THAN (-1))"},
         std::nullopt},
        {"another unique index",
         {"CREATE TABLE {} (id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT UNIQUE)",
          "INSERT INTO {} (n) WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 800) SELECT i "
          "FROM s"},
         std::nullopt},
        {"no partition for what is computed from a row",
         {"CREATE TABLE {} (id BIGINT AUTO_INCREMENT, n BIGINT, g BIGINT AS (n * 2) STORED, KEY (id)) PARTITION BY "
          "LIST "
          "(g) (PARTITION low VALUES IN (-1))"},
         std::nullopt},
        {"no partition for a default that reads a row",
         {"CREATE TABLE {} (id BIGINT AUTO_INCREMENT, n BIGINT, g BIGINT DEFAULT (n * 2), KEY (id)) PARTITION BY LIST "
          "(g) (PARTITION low VALUES IN (-1))"},
         std::nullopt},
        {"a trigger's table",
         {"CREATE TABLE {} (id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT)",
          "CREATE TABLE {b} (id BIGINT PRIMARY KEY)", "INSERT INTO {b} VALUES (1)",
          "CREATE TRIGGER {} AFTER INSERT ON {} FOR EACH ROW INSERT INTO {b} VALUES (1)"},
         std::nullopt},
    };
  }
};

TEST_P(conformance_table_faults, fail_the_batch_and_no_row) {
  if (is_sqlite()) GTEST_SKIP() << "its tables give no row an id that another has, and have no partitions";
  for (const made_table& made : tables())
    for (std::int64_t size : {1, 40, 700})
      with_connection([&](database& here, connection& c) -> task<> {
        for (const std::string& sql : made.sql) {
          std::string creating = in_place(sql);
          co_await c.execute(creating);
        }
        const table_definition into{table_name(), "id", {{"n", column_type::integer}}, {}};
        std::string table = quote_identifier(table_name());
        task<std::int64_t> counting = count(c, table);
        std::int64_t before = co_await std::move(counting);
        row_batch rows(1);
        for (std::int64_t i = 0; i < size; ++i) {
          rows.add_integer(i);
          rows.commit_row();
        }
        batch_report report;
        task<std::unique_ptr<connection>> connecting = here.connect();
        std::unique_ptr<connection> fresh = co_await std::move(connecting);
        if (std::string_view(made.what) == "a trigger's table" && is_postgresql()) fresh.reset();  // the function's
        connection& inserting = fresh ? *fresh : c;
        task<std::optional<db_errc>> failing = failure_of(inserting.insert_batch(into, rows, report));
        std::optional<db_errc> fault = co_await std::move(failing);
        EXPECT_EQ(fault, made.fault) << made.what << ", " << size << " rows";
        for (const row_outcome& row : report.rows) EXPECT_EQ(row.what, status::refused) << made.what;
        task<std::int64_t> counting_again = count(c, table);
        EXPECT_EQ(co_await std::move(counting_again), before) << made.what;
      });
}

// As the time of the service.
TEST_P(conformance_table_faults, are_seen_where_no_partition_takes_what_the_writer_gives) {
  if (is_sqlite()) GTEST_SKIP() << "its tables have no partitions";
  for (bool given_by_writer : {true, false})
    for (std::size_t size : {1, 40, 700})
      with_connection([&](database&, connection& c) -> task<> {
        std::string making =
            in_place(is_postgresql()
                         ? "CREATE TABLE {} (id bigserial, made timestamptz NOT NULL) PARTITION BY RANGE (made)"
                         : "CREATE TABLE {} (id BIGINT AUTO_INCREMENT, made DATETIME(6) NOT NULL, PRIMARY KEY (id, "
                           "made)) PARTITION BY RANGE COLUMNS(made) (PARTITION old VALUES LESS THAN ('2021-01-01'))");
        co_await c.execute(making);
        const table_definition into{table_name(), "id", {{"made", column_type::timestamp, true, given_by_writer}}, {}};
        row_batch rows(1);
        for (std::size_t i = 0; i < size; ++i) {
          rows.add_timestamp(timestamp(1'700'000'000s));
          rows.commit_row();
        }
        batch_report report;
        task<std::optional<db_errc>> failing = failure_of(c.insert_batch(into, rows, report));
        std::optional<db_errc> fault = co_await std::move(failing);
        EXPECT_EQ(fault, given_by_writer ? std::optional(db_errc::table_drift) : std::nullopt) << size << " rows";
      });
}

// As at the end of the last one that was made. The others wait with it: their time comes once more.
TEST_P(conformance_table_faults, are_seen_where_no_partition_takes_what_the_writer_gives_the_last_row) {
  if (is_sqlite()) GTEST_SKIP() << "its tables have no partitions";
  for (int size : {2, 40, 700})
    with_connection([&](database&, connection& c) -> task<> {
      const std::vector<std::string> made =
          is_postgresql()
              ? std::vector<std::string>{"CREATE TABLE {} (id bigserial, made timestamptz NOT NULL) PARTITION BY RANGE "
                                         "(made)",
                                         "CREATE TABLE {b} PARTITION OF {} FOR VALUES FROM ('2020-01-01') TO "
                                         "('2021-01-01')"}
              : std::vector<std::string>{"CREATE TABLE {} (id BIGINT AUTO_INCREMENT, made DATETIME(6) NOT NULL, PRIMARY "
                                         "KEY (id, made)) PARTITION BY RANGE COLUMNS(made) (PARTITION old VALUES LESS "
                                         "THAN ('2021-01-01'))"};
      for (const std::string& sql : made) {
        std::string making = in_place(sql);
        co_await c.execute(making);
      }
      const table_definition into{table_name(), "id", {{"made", column_type::timestamp, true, true}}, {}};
      row_batch rows(1);
      for (int i = 1; i <= size; ++i) {
        rows.add_timestamp(timestamp(i == size ? 1'700'000'000s : 1'600'000'000s));
        rows.commit_row();
      }
      batch_report report;
      task<std::optional<db_errc>> failing = failure_of(c.insert_batch(into, rows, report));
      std::optional<db_errc> fault = co_await std::move(failing);
      EXPECT_EQ(fault, db_errc::table_drift) << size << " rows";
      task<std::int64_t> counting = count(c, quote_identifier(table_name()));
      EXPECT_EQ(co_await std::move(counting), 0) << size << " rows";
    });
}

// The server names no column then.
TEST_P(conformance_table_faults, are_not_seen_where_a_row_brings_no_value_to_a_domain) {
  if (!is_postgresql()) GTEST_SKIP() << "only PostgreSQL has domains";
  for (std::size_t size : {3, 700})
    with_connection([&](database&, connection& c) -> task<> {
      co_await c.execute("CREATE DOMAIN pg_temp.given AS text NOT NULL");
      std::string making = in_place("CREATE TEMPORARY TABLE {} (id bigserial PRIMARY KEY, s pg_temp.given)");
      co_await c.execute(making);
      row_batch rows(1);
      for (std::size_t i = 0; i < size; ++i) {
        i == 1 ? rows.add_null() : rows.add_text("given");
        rows.commit_row();
      }
      batch_report report;
      const table_definition into{table_name(), "id", {{"s", column_type::text}}, {}};
      co_await c.insert_batch(into, rows, report);
      for (std::size_t i = 0; i < size; ++i)
        EXPECT_EQ(report.rows.at(i).what, i == 1 ? status::refused : status::stored) << i << " of " << size;
    });
}

INSTANTIATE_TEST_SUITE_P(all, conformance_table_faults, ::testing::ValuesIn(all_ways_to_insert), name_of_tested);

}  // namespace
}  // namespace penstock::db
