#include "server_fixture.h"
#include "table_drift.h"
#include <penstock/db/connection.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

// What `penstock check` tells of a server.

namespace penstock::db {
namespace {

class postgres_examination : public server_test {
 protected:
  postgres_examination() : server_test("TESTED_POSTGRESQL") {}
};

// What is told of limits to so many sessions.
task<std::vector<std::string>> limits_told(connection& c, std::size_t sessions) {
  expected_load load;
  load.sessions = sessions;
  task<std::vector<finding>> examining = c.examine(load);
  std::vector<std::string> told;
  for (const finding& f : co_await std::move(examining))
    if (f.what.starts_with("CONNECTION LIMIT")) told.push_back(f.what + ": " + f.change);
  co_return told;
}

TEST_F(postgres_examination, an_account_or_a_database_that_gets_fewer_sessions_than_are_used_is_told) {
  with_connection([](connection& c) -> task<> {
    task<std::vector<std::string>> without = limits_told(c, 34);
    EXPECT_TRUE((co_await std::move(without)).empty());
    co_await c.begin();  // rolled back in the end
    co_await c.execute("CREATE ROLE \"of few\" CONNECTION LIMIT 6");
    task<result> naming = c.query("SELECT quote_ident(current_database())");
    result named = co_await std::move(naming);
    std::string alter_database = "ALTER DATABASE " + std::get<std::string>(named.rows[0][0]);
    co_await c.execute(alter_database + " CONNECTION LIMIT 20");
    co_await c.execute("SET SESSION AUTHORIZATION \"of few\"");
    task<std::vector<std::string>> asking = limits_told(c, 34);
    std::vector<std::string> told = co_await std::move(asking);
    EXPECT_EQ(told, (std::vector<std::string>{
                        "CONNECTION LIMIT 6 of the account: ALTER ROLE \"of few\" CONNECTION LIMIT 68",
                        "CONNECTION LIMIT 20 of the database: " + alter_database + " CONNECTION LIMIT 68"}));
    task<std::vector<std::string>> fewer = limits_told(c, 6);
    EXPECT_TRUE((co_await std::move(fewer)).empty());
    co_await c.rollback();
  });
}

// What is told of a table's ids.
task<std::vector<std::string>> ids_told(connection& c) {
  expected_load load;
  load.tables = {{"counted", {"INSERT"}, "id"}};
  task<std::vector<finding>> examining = c.examine(load);
  std::vector<std::string> told;
  for (const finding& f : co_await std::move(examining))
    if (f.what.find("id") != std::string::npos && f.what.find("counted") != std::string::npos)
      told.push_back((f.how == finding::level::error ? "ERROR " : "") + f.what);
  co_return told;
}

TEST_F(postgres_examination, ids_that_are_nearly_used_up_or_behind_the_table_are_told) {
  struct step {
    const char* sql;
    std::vector<std::string> told;
  };
  const step steps[] = {
      {"INSERT INTO counted DEFAULT VALUES", {}},
      {"INSERT INTO counted VALUES (7)",
       {"ERROR the next id of table \"counted\" is 2, and it has some of the next ones"}},
      {"SELECT setval('counted_id_seq', 7)", {}},
      {"SELECT setval('counted_id_seq', 1800000000)", {}},
      {"ALTER TABLE counted ALTER id TYPE integer", {"ids of table \"counted\" up to 1800000000 of 2147483647"}},
      {"ALTER TABLE counted ALTER id TYPE bigint", {}},
      {"ALTER SEQUENCE counted_id_seq AS bigint MAXVALUE 2000000000",
       {"ids of table \"counted\" up to 1800000000 of 2000000000"}},
      {"ALTER SEQUENCE counted_id_seq MAXVALUE 1800000000",
       {"ERROR ids of table \"counted\" up to 1800000000 of 1800000000"}},
      {"ALTER SEQUENCE counted_id_seq NO MAXVALUE", {}},
      {"ALTER SEQUENCE counted_id_seq RESTART WITH 8", {}},
      {"ALTER SEQUENCE counted_id_seq RESTART WITH 7",
       {"ERROR the next id of table \"counted\" is 7, and it has some of the next ones"}},
      {"SELECT setval('counted_id_seq', 9223372036854775807)",
       {"ERROR ids of table \"counted\" up to 9223372036854775807 of 9223372036854775807"}},
      {"ALTER TABLE counted ADD other text, ADD number bigserial",
       {"ERROR ids of table \"counted\" up to 9223372036854775807 of 9223372036854775807"}},
  };
  with_connection([&](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE counted (id bigserial PRIMARY KEY)");
    for (const step& s : steps) {
      co_await c.execute(s.sql);
      task<std::vector<std::string>> asking = ids_told(c);
      EXPECT_EQ(co_await std::move(asking), s.told) << s.sql;
    }
  });
}

TEST_F(postgres_examination, a_published_table_whose_rows_can_not_be_deleted_is_told) {
  with_connection([](connection& c) -> task<> {
    expected_load load;
    load.tables = {{"published", {"INSERT", "UPDATE", "DELETE"}, ""}};
    auto told = [&]() -> task<bool> {
      task<std::vector<finding>> examining = c.examine(load);
      bool is_told = false;
      for (const finding& f : co_await std::move(examining))
        is_told = is_told || (f.how == finding::level::error && f.what.find("replica identity") != std::string::npos);
      co_return is_told;
    };
    co_await c.begin();  // rolled back in the end
    co_await c.execute("CREATE TABLE published (n int)");
    EXPECT_FALSE(co_await told());
    co_await c.execute("CREATE PUBLICATION of_it FOR TABLE published");
    EXPECT_TRUE(co_await told());
    co_await c.execute("ALTER TABLE published REPLICA IDENTITY FULL");
    EXPECT_FALSE(co_await told());
    co_await c.rollback();
  });
}

// What is said of the table, with how bad it is.
task<std::string> told_of(connection& c, std::string table) {
  expected_load load;
  load.tables = {{table, {"SELECT", "INSERT"}, "id"}};
  task<std::vector<finding>> examining = c.examine(load);
  std::string told;
  for (const finding& f : co_await std::move(examining))
    if (f.what.find(table) != std::string::npos)
      told += (f.how == finding::level::error ? "ERROR " : "") + f.what + ": " + f.means + "\n";
  co_return told;
}

TEST_F(postgres_examination, a_table_that_can_not_be_looked_at_is_told_by_the_servers_reason) {
  with_connection([](connection& c) -> task<> {
    for (const char* sql :
         {"DROP TABLE IF EXISTS behind_policies", "DROP ROLE IF EXISTS who_is_told",
          "CREATE TABLE behind_policies (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n bigint)",
          "ALTER TABLE behind_policies ENABLE ROW LEVEL SECURITY", "CREATE ROLE who_is_told",
          "GRANT ALL ON behind_policies, behind_policies_id_seq TO who_is_told",
          "CREATE POLICY all_of_it ON behind_policies USING (true)", "SET ROLE who_is_told"}) {
      task<std::uint64_t> running = c.execute(sql);
      co_await std::move(running);
    }
    EXPECT_EQ(co_await told_of(c, "behind_policies"), "");
    co_await c.execute("SET row_security = off");
    std::string said = co_await told_of(c, "behind_policies");
    EXPECT_NE(said.find("query would be affected by row-level security policy"), std::string::npos) << said;
    EXPECT_EQ(said.find("schema"), std::string::npos) << said;
    for (const char* sql :
         {"RESET ROLE", "RESET row_security", "DROP TABLE behind_policies", "DROP ROLE who_is_told"}) {
      task<std::uint64_t> running = c.execute(sql);
      co_await std::move(running);
    }
  });
}

TEST_F(postgres_examination, a_table_that_would_be_made_for_one_session_alone_is_told_and_not_made) {
  with_connection([](connection& c) -> task<> {
    const table_definition wanted{"for_a_session", "id", {{"n", column_type::integer}}, {}};
    co_await c.execute("SET search_path = pg_temp, public");
    std::string said = co_await told_of(c, wanted.name);
    EXPECT_TRUE(said.starts_with("ERROR ")) << said;
    EXPECT_NE(said.find("temporary"), std::string::npos) << said;
    task<std::string> preparing = drift_of(c, wanted);
    said = co_await std::move(preparing);
    EXPECT_NE(said.find("temporary"), std::string::npos) << said;

    co_await c.execute("CREATE TABLE public.for_a_session (id bigint GENERATED BY DEFAULT AS IDENTITY, n bigint)");
    EXPECT_EQ(co_await told_of(c, wanted.name), "");
    EXPECT_EQ(co_await drift_of(c, wanted), "");
    co_await c.execute("DROP TABLE public.for_a_session");
  });
}

}  // namespace
}  // namespace penstock::db
