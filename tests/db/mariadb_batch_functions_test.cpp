#include "mariadb_batch.h"

// Values that a function can't take which a generated column or a check gives them to.

namespace penstock::db {
namespace {

class mariadb_batch_functions : public batch_test, public ::testing::WithParamInterface<const char*> {};

TEST_P(mariadb_batch_functions, refuse_the_row_alone) {
  struct made {
    const char* columns;
    std::string good;
    std::string bad;
  };
  std::vector<made> tables{
      {"v TEXT, u VARCHAR(50) AS (JSON_UNQUOTE(JSON_EXTRACT(v, '$.user'))) STORED", R"({"user":"a"})",
       R"({"user":)" + std::string(150, '[') + std::string(150, ']') + "}"},
      {"v TEXT CHECK (JSON_EXTRACT('{}', v) IS NULL)", "$.a", "("},
      {"v TEXT, g GEOMETRY AS (ST_GeomFromGeoJSON(v)) STORED", R"({"type":"Point","coordinates":[1,2]})",
       R"({"type":"Point"})"},
  };
  if (is_mysql())
    tables.push_back({"v TEXT, j JSON AS (v) STORED, INDEX((CAST(j->'$.a' AS UNSIGNED ARRAY)))", R"({"a":[1]})",
                      R"({"a":[{"b":1}]})"});
  const table_definition into{"t", "id", {{"v", column_type::text}}, {}};
  auto body = [&](connection& c) -> task<> {
    for (const made& table : tables)
      for (std::size_t count : {3, 40, 700}) {
        SCOPED_TRACE(std::string(table.columns) + ", " + std::to_string(count));
        co_await c.execute(std::string("CREATE TABLE t(id BIGINT AUTO_INCREMENT PRIMARY KEY, ") + table.columns + ")");
        co_await c.prepare_table(into);
        row_batch rows(1);
        for (std::size_t i = 0; i < count; ++i) {
          rows.add_text(i == 1 ? table.bad : table.good);
          rows.commit_row();
        }
        batch_report report;
        co_await c.insert_batch(into, rows, report);
        for (std::size_t i = 0; i < count; ++i)
          EXPECT_EQ(report.rows.at(i).what, i == 1 ? row_outcome::status::refused : row_outcome::status::stored) << i;
        for (const row_refusal& refusal : report.refusals)
          EXPECT_TRUE(is_mysql() || refusal.code == code_name(db_errc::data)) << refusal.code;
        value stored = co_await ask(c, "SELECT count(*) FROM t");
        EXPECT_EQ(stored, value(static_cast<std::int64_t>(count - 1)));
        co_await c.execute("DROP TABLE t");
      }
  };
  with_session(body, GetParam());
}

TEST_P(mariadb_batch_functions, of_a_partitioning_are_no_columns_of_their_name) {
  auto body = [&](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TABLE t(id BIGINT AUTO_INCREMENT, year BIGINT, made DATETIME DEFAULT NOW(), KEY(id)) PARTITION BY "
        "RANGE "
        "(year(made)) (PARTITION old VALUES LESS THAN (2021))");
    const table_definition into{"t", "id", {{"year", column_type::integer}}, {}};
    co_await c.prepare_table(into);
    row_batch rows(1);
    rows.add_integer(2026);
    rows.commit_row();
    batch_report report;
    std::optional<db_errc> fault;
    try {
      co_await c.insert_batch(into, rows, report);
    } catch (const database_error& e) {
      fault = e.errc();
      EXPECT_TRUE(e.message().starts_with(is_mysql() ? "MySQL, insert into t" : "MariaDB, insert into t"));
    }
    EXPECT_EQ(fault, db_errc::table_drift);
  };
  with_session(body, GetParam());
}

INSTANTIATE_TEST_SUITE_P(ways, mariadb_batch_functions, ::testing::ValuesIn(batch_test::ways), batch_test::name_of_way);

}  // namespace
}  // namespace penstock::db
