#include "db/postgres/changed_table.h"

#include <string_view>
#include <utility>

#include <gtest/gtest.h>

namespace penstock::db::postgres {
namespace {

TEST(changed_table, is_named_as_the_statement_names_it) {
  const std::pair<const char*, const char*> statements[] = {
      {"INSERT INTO t (a) VALUES (?)", "t"},
      {"insert\n\tinto Orders_2$(a) VALUES (?)", "Orders_2$"},
      {"/* why */ INSERT /* so */ INTO -- there\n \"odd name\" VALUES (?)", "\"odd name\""},
      {"UPDATE ONLY public.\"t\" SET a = ?", "public.\"t\""},
      {"UPDATE only_this SET a = ?", "only_this"},
      {"DELETE FROM \"a b\".\"c.d\"", "\"a b\".\"c.d\""},
      {"MERGE INTO straße AS s USING v ON s.a = ? WHEN MATCHED THEN DELETE", "straße"},
      {"UPDATE t", "t"},
  };
  for (const auto& [sql, table] : statements) EXPECT_EQ(changed_table(sql), table) << sql;
}

TEST(changed_table, is_none_where_little_is_known_of_the_statement) {
  for (const char* sql :
       {"", "INSERT", "INSERT INTO", "INSERT t VALUES (?)", "UPDATED t SET a = ?", "DELETE t", "SELECT a FROM t",
        "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", "INSERT INTO \"a\"\"b\" VALUES (?)",
        "INSERT INTO U&\"d\\0061t\" VALUES (?)", "INSERT INTO a. VALUES (?)", "UPDATE (t) SET a = ?",
        "INSERT INTO \"open VALUES (?)", "/* open INSERT INTO t VALUES (?)", "DELETE FROM 1t", "INSERT INTO a.\"b"})
    EXPECT_EQ(changed_table(sql), "") << sql;
}

}  // namespace
}  // namespace penstock::db::postgres
