#include "db/statement_effects.h"

#include <gtest/gtest.h>

namespace penstock::db {
namespace {

TEST(statement_effects, settings_variables_temporary_tables_and_locks_leave_traces) {
  for (const char* sql : {"SET time_zone = '+05:00'",
                          "set @a = 1",
                          "  -- why\n /* and how */ SET x TO 1",
                          "PRAGMA cache_size=1",
                          "EXPLAIN PRAGMA foreign_keys=OFF",
                          "explain query plan pragma\tforeign_keys=OFF",
                          "CREATE TEMPORARY TABLE t(n INT)",
                          "create temp view v as select 1",
                          "CREATE TABLE temp.t(n)",
                          "CREATE TEMP TABLE t AS SELECT 1",
                          "SELECT 1 INTO @a",
                          "SELECT @a := 1",
                          "(SELECT @a := 1)",
                          "SELECT pg_advisory_lock(1)",
                          "SELECT pg_catalog.set_config('a.b', 'c', false)",
                          "SELECT GET_LOCK('x', 1)",
                          "ANALYZE SELECT GET_LOCK('x', 1)",
                          "SELECT 1 AS n INTO TEMP t",
                          "UPDATE t SET n = (@n := @n + 1)",
                          "INSERT INTO log SELECT GET_LOCK('job', 5)",
                          "DELETE FROM t WHERE pg_advisory_lock(id) IS NULL",
                          "UPDATE pg_settings SET setting = 'x' WHERE name = 'search_path'",
                          "CREATE TABLE z AS SELECT @w := 5",
                          "CREATE TABLE z AS SELECT GET_LOCK('job', 5)",
                          "# update the zone\nSET time_zone = '+05:00'",
                          "ATTACH 'x' AS y",
                          "USE shop",
                          "PREPARE p AS SELECT 1",
                          "EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1",
                          "EXPLAIN ANALYZE EXECUTE p",
                          "/* a /* b */ SELECT 1 */ CREATE TEMP TABLE t(a int)",
                          "/*/ SELECT 1 */ SET x TO 1",
                          "LOCK TABLES t READ",
                          "FLUSH TABLES WITH READ LOCK",
                          "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
                          "LISTEN l",
                          "DO $$ BEGIN END $$",
                          "CALL p()",
                          "BEGIN NOT ATOMIC SET @a = 1; END",
                          "HANDLER t OPEN",
                          "DISCARD ALL",
                          ""})
    EXPECT_TRUE(leaves_traces(sql)) << sql;
}

TEST(statement_effects, what_works_on_rows_and_tables_leaves_no_traces) {
  for (const char* sql : {"SELECT temperature, x FROM t WHERE a @> b",
                          "select 1",
                          "WITH a AS (SELECT 1) SELECT * FROM a",
                          "VALUES (1)",
                          "INSERT INTO t VALUES (1)",
                          "UPDATE t SET x = 1",
                          "DELETE FROM t",
                          "REPLACE INTO t VALUES (1)",
                          "CREATE TABLE t(n INT)",
                          "DROP TEMPORARY TABLE t",
                          "ALTER TABLE t ADD c INT",
                          "TRUNCATE t",
                          "BEGIN IMMEDIATE",
                          "COMMIT",
                          "ROLLBACK",
                          "SAVEPOINT s",
                          "RELEASE s",
                          "SHOW TABLES",
                          "EXPLAIN SELECT 1",
                          "/* x */ SELECT 1",
                          "SELECT pg_advisory_xact_lock(1)"})
    EXPECT_FALSE(leaves_traces(sql)) << sql;
}

TEST(statement_effects, rows_are_changed_by_four_kinds_of_statements) {
  for (const char* sql : {"INSERT INTO t VALUES (1) RETURNING n", "/* why */ replace t VALUES (1)", "DELETE FROM t",
                          "  update t SET n = 1"})
    EXPECT_TRUE(changes_rows(sql)) << sql;
  for (const char* sql : {"SELECT 1 FOR UPDATE", "(SELECT 1)", "CALL p()", "SHOW TABLES", "INSERTED", ""})
    EXPECT_FALSE(changes_rows(sql)) << sql;
}

TEST(statement_effects, what_only_reads_is_known) {
  for (const char* sql :
       {"SELECT replace(a, 'x', 'y') FROM t", " /* why */ select 1", "/* a /* b */ SELECT 1", "PRAGMA user_version",
        "EXPLAIN DELETE FROM t", "WITH a AS (SELECT 1) SELECT updated_at, last_update, update2 FROM a",
        "WITH a AS (SELECT replace('x', 'x', 'y')) SELECT * FROM a"})
    EXPECT_TRUE(only_reads(sql)) << sql;
  for (const char* sql : {"INSERT INTO t VALUES (1) RETURNING n", "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
                          "with a AS (SELECT 1) delete from t", "CREATE TABLE t(a)", "",
                          "WITH a AS (SELECT 1) INSERT OR IGNORE\n INTO t SELECT * FROM a",
                          "WITH a AS (SELECT 1) REPLACE INTO t SELECT * FROM a"})
    EXPECT_FALSE(only_reads(sql)) << sql;
}

TEST(statement_effects, procedures_may_commit_halfway) {
  for (const char* sql : {"CALL p()", "  do $$ BEGIN END $$"}) EXPECT_TRUE(may_commit_halfway(sql)) << sql;
  for (const char* sql : {"SELECT p()", "DROP TABLE t", "INSERT INTO t VALUES (1)"})
    EXPECT_FALSE(may_commit_halfway(sql)) << sql;
}

TEST(statement_effects, settings_are_told_by_their_first_word) {
  for (const char* sql : {"SET NAMES utf8mb4", " /* back */ set @a = 1"}) EXPECT_TRUE(only_sets(sql)) << sql;
  for (const char* sql : {"UPDATE t SET n = 1", "SETTLE", "SHOW VARIABLES", ""}) EXPECT_FALSE(only_sets(sql)) << sql;
}

TEST(statement_effects, settings_are_set_back_by_some_kinds_of_statements) {
  for (const char* sql :
       {"SET NAMES 'UTF8'", "-- back\nreset ALL", "DISCARD ALL", "ROLLBACK TO SAVEPOINT a", "ABORT", "COMMIT", "END"})
    EXPECT_TRUE(only_sets_back(sql)) << sql;
  for (const char* sql : {"SELECT set_config('client_encoding', 'UTF8', false)", "RESETTLE", ""})
    EXPECT_FALSE(only_sets_back(sql)) << sql;
}

TEST(statement_effects, only_questions_may_be_asked_again) {
  for (const char* sql : {"SELECT 1", "(select 1)", "WITH a AS (SELECT 1) SELECT * FROM a", "VALUES (1)", "TABLE t",
                          "/* all */ SHOW TABLES"})
    EXPECT_TRUE(only_asks(sql)) << sql;
  for (const char* sql : {"CALL p()", "INSERT INTO t VALUES (1) RETURNING n", "EXPLAIN ANALYZE DELETE FROM t", ""})
    EXPECT_FALSE(only_asks(sql)) << sql;
}

}  // namespace
}  // namespace penstock::db
