#include "server_fixture.h"
#include "table_drift.h"
#include <penstock/db/connection.h>

#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// Columns of tables that were there before: of types with a modifier, and of domains.

namespace penstock::db {
namespace {

class postgres_types : public server_test {
 protected:
  postgres_types() : server_test("TESTED_POSTGRESQL") {}
};

const std::vector<std::string> domains = {
    "CREATE DOMAIN pg_temp.email AS text CHECK (VALUE LIKE '%@%')",
    "CREATE DOMAIN pg_temp.work_email AS pg_temp.email CHECK (VALUE LIKE '%.org')",
    "CREATE DOMAIN pg_temp.short AS varchar(12)",
    "CREATE DOMAIN pg_temp.padded AS char(12)",
    "CREATE DOMAIN pg_temp.whole AS bigint",
    "CREATE DOMAIN pg_temp.digits AS numeric(19,0)",
    "CREATE DOMAIN pg_temp.few_digits AS numeric(18,0)",
    "CREATE DOMAIN pg_temp.measure AS double precision",
    "CREATE DOMAIN pg_temp.answer AS boolean",
    "CREATE DOMAIN pg_temp.document AS json",
    "CREATE DOMAIN pg_temp.moment AS timestamptz",
    "CREATE DOMAIN pg_temp.second AS timestamptz(0)",
    "CREATE DOMAIN pg_temp.bytes AS bytea",
    "CREATE DOMAIN pg_temp.in_either_case AS citext",
};

struct column {
  const char* type;
  column_type of;
  const char* drift;  // what is told of it; nothing where it fits
};

TEST_F(postgres_types, that_keep_all_values_fit_and_others_are_drift) {
  const column columns[] = {
      {"timestamp(6)", column_type::timestamp, ""},
      {"timestamptz(6)", column_type::timestamp, ""},
      {"timestamp(5)", column_type::timestamp, "is timestamp(5) without time zone, which does not keep"},
      {"timestamptz(0)", column_type::timestamp, "does not keep timestamp values"},
      {"numeric(19)", column_type::integer, ""},
      {"numeric(20,0)", column_type::integer, ""},
      {"numeric(18,0)", column_type::integer, "is numeric(18,0), which does not keep integer values as they are"},
      {"numeric(22,2)", column_type::integer, "does not keep integer values"},
      {"pg_temp.email", column_type::text, ""},
      {"pg_temp.work_email", column_type::text, ""},
      {"pg_temp.short", column_type::text, ""},
      {"pg_temp.padded", column_type::text, "a domain over character(12), which does not keep text values as they are"},
      {"pg_temp.whole", column_type::integer, ""},
      {"pg_temp.digits", column_type::integer, ""},
      {"pg_temp.few_digits", column_type::integer, "a domain over numeric(18,0), which does not keep integer values"},
      {"pg_temp.measure", column_type::real, ""},
      {"pg_temp.answer", column_type::boolean, ""},
      {"pg_temp.document", column_type::json, ""},
      {"pg_temp.email", column_type::integer, "a domain over text, which does not keep integer values"},
      {"pg_temp.moment", column_type::timestamp,
       "a domain over timestamp with time zone, and timestamp values can't be sent to a domain: make it timestamp "
       "with"},
      {"pg_temp.second", column_type::timestamp, "a domain over timestamp(0) with time zone, which does not keep"},
      {"pg_temp.bytes", column_type::blob, "a domain over bytea, and blob values can't be sent to a domain"},
  };
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("CREATE EXTENSION IF NOT EXISTS citext");
    for (const std::string& sql : domains) co_await c.execute(sql);
    for (const column& made : columns) {
      SCOPED_TRACE(made.type);
      std::string making = "CREATE TEMPORARY TABLE t (id bigserial, v " + std::string(made.type) + ")";
      co_await c.execute(making);
      const table_definition wanted{"t", "id", {{"v", made.of}}, {}};
      std::string said = co_await drift_of(c, wanted);
      EXPECT_EQ(said.empty(), std::string(made.drift).empty()) << said;
      EXPECT_NE(said.find(made.drift), std::string::npos) << said;
      co_await c.execute("DROP TABLE t");
    }
    co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial, v pg_temp.in_either_case UNIQUE)");
    const table_definition keyed{"t", "id", {{"v", column_type::text}}, {"v"}};
    std::string said = co_await drift_of(c, keyed);
    EXPECT_NE(said.find("has the type citext"), std::string::npos) << said;
  });
}

// The second row is refused by its domain, so that the parts of a batch go in anew.
TEST_F(postgres_types, keep_values_by_whatever_way_they_go_in) {
  using whole = std::numeric_limits<std::int64_t>;
  const table_definition keyed{"t",
                               "id",
                               {{"n", column_type::integer},
                                {"digits", column_type::integer},
                                {"whole", column_type::integer},
                                {"measure", column_type::real},
                                {"answer", column_type::boolean},
                                {"document", column_type::json},
                                {"short", column_type::text},
                                {"at", column_type::timestamp},
                                {"email", column_type::text}},
                               {"email"}};
  const table_definition unkeyed{"t", "id", keyed.columns, {}};
  const timestamp at(std::chrono::microseconds(1'782'864'000'000'001));
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("CREATE EXTENSION IF NOT EXISTS citext");
    for (const std::string& sql : domains) co_await c.execute(sql);
    co_await c.execute(
        "CREATE TEMPORARY TABLE t (id bigserial, n bigint, digits pg_temp.digits, whole pg_temp.whole, measure "
        "pg_temp.measure, answer pg_temp.answer, document pg_temp.document, short pg_temp.short, at timestamp(6), "
        "email "
        "pg_temp.work_email UNIQUE)");
    co_await c.prepare_table(keyed);
    for (const table_definition* definition : {&keyed, &unkeyed})
      for (std::size_t count : {1, 2, 40, 600}) {
        SCOPED_TRACE(std::to_string(count) + (definition->unique_key.empty() ? "" : ", with a key"));
        row_batch rows(9);
        for (std::size_t i = 0; i < count; ++i) {
          rows.add_integer(static_cast<std::int64_t>(i));
          rows.add_integer(i % 2 == 0 ? whole::min() : whole::max());
          rows.add_integer(i % 2 == 0 ? whole::max() : whole::min());
          rows.add_real(i % 2 == 0 ? 0.1 : -5e-324);
          rows.add_boolean(i % 2 == 0);
          rows.add_text(R"({"a": 1.0})");
          rows.add_text(i % 2 == 0 ? "with blank  " : "");
          rows.add_timestamp(at);
          rows.add_text(std::to_string(i) + (i == 1 ? "@penstock.com" : "@penstock.org"));
          rows.commit_row();
        }
        batch_report report;
        co_await c.insert_batch(*definition, rows, report);
        for (std::size_t i = 0; i < count; ++i)
          EXPECT_EQ(report.rows.at(i).what, i == 1 ? row_outcome::status::refused : row_outcome::status::stored) << i;
        result stored = co_await c.query("SELECT * FROM t ORDER BY n");
        EXPECT_EQ(stored.rows.size(), count - (count > 1 ? 1 : 0));
        for (const std::vector<value>& row : stored.rows) {
          bool is_even = std::get<std::int64_t>(row.at(1)) % 2 == 0;
          EXPECT_EQ(row.at(2), value(std::to_string(is_even ? whole::min() : whole::max())));
          EXPECT_EQ(row.at(3), value(is_even ? whole::max() : whole::min()));
          EXPECT_EQ(row.at(4), value(is_even ? 0.1 : -5e-324));
          EXPECT_EQ(row.at(5), value(is_even));
          EXPECT_EQ(row.at(6), value(std::string(R"({"a": 1.0})")));
          EXPECT_EQ(row.at(7), value(std::string(is_even ? "with blank  " : "")));
          EXPECT_EQ(row.at(8), value(at));
        }
        if (!definition->unique_key.empty()) {
          co_await c.insert_batch(*definition, rows, report);
          for (std::size_t i = 0; i < count; ++i)
            EXPECT_EQ(report.rows.at(i).what, i == 1 ? row_outcome::status::refused : row_outcome::status::duplicate);
        }
        co_await c.execute("DELETE FROM t");
      }
  });
}

// Its binary form begins with a version, at which COPY fails for all rows where it is another.
TEST_F(postgres_types, jsonb_is_copied) {
  const table_definition into{"t", "id", {{"k", column_type::json}}, {}};
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k jsonb)");
    row_batch rows(1);
    for (int i = 0; i < 700; ++i) {
      rows.add_text("{\"n\": " + std::to_string(i) + "}");
      rows.commit_row();
    }
    batch_report report;
    co_await c.insert_batch(into, rows, report);
    EXPECT_EQ(report.method, "copy");
    EXPECT_TRUE(report.refusals.empty());
    result stored = co_await c.query("SELECT count(*), sum((k->>'n')::bigint)::bigint FROM t");
    EXPECT_EQ(stored.rows.at(0).at(0), value(std::int64_t{700}));
    EXPECT_EQ(stored.rows.at(0).at(1), value(std::int64_t{244'650}));
  });
}

}  // namespace
}  // namespace penstock::db
