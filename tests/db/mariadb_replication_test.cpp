#include "db/mariadb/replication.h"
#include <penstock/db/connection.h>

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

// What is said of commits that replicas may not have, by what the servers tell of themselves.

namespace penstock::db {
namespace {

using facts = std::vector<std::pair<const char*, const char*>>;

std::string told_of(const facts& told) {
  result rows;
  for (const auto& [name, text] : told) rows.rows.push_back({value(std::string(name)), value(std::string(text))});
  server_settings settings;
  settings.add(rows);
  std::string all;
  for (const finding& f : mariadb::replication_findings(settings))
    all.append(f.how == finding::level::error  ? "ERROR "
               : f.how == finding::level::note ? "note: "
                                               : "")
        .append(f.what)
        .append("\n");
  return all;
}

facts with(facts most, const facts& others) {
  most.insert(most.end(), others.begin(), others.end());
  return most;
}

const facts mariadb_alone{
    {"version", "11.8.1-MariaDB-log"}, {"log_bin", "ON"}, {"rpl_semi_sync_master_enabled", "OFF"}};
const facts mysql_alone{{"version", "9.7.4"}, {"log_bin", "ON"}};
const facts mariadb_waiting{{"version", "11.8.1-MariaDB-log"},
                            {"log_bin", "ON"},
                            {"rpl_semi_sync_master_enabled", "ON"},
                            {"rpl_semi_sync_master_status", "ON"},
                            {"rpl_semi_sync_master_timeout", "4294967295"},
                            {"rpl_semi_sync_master_clients", "1"},
                            {"rpl_semi_sync_master_wait_point", "AFTER_SYNC"}};
const facts mysql_waiting{{"version", "9.7.4"},
                          {"log_bin", "ON"},
                          {"rpl_semi_sync_source_enabled", "ON"},
                          {"rpl_semi_sync_source_status", "ON"},
                          {"rpl_semi_sync_source_timeout", "4294967295"},
                          {"rpl_semi_sync_source_clients", "1"},
                          {"rpl_semi_sync_source_wait_for_replica_count", "1"},
                          {"rpl_semi_sync_source_wait_point", "AFTER_SYNC"}};

TEST(mariadb_replication, that_no_commit_waits_for_is_told) {
  EXPECT_EQ(told_of(mariadb_alone), "replication is asynchronous: rpl_semi_sync_master_enabled = OFF\n");
  EXPECT_EQ(told_of(mysql_alone), "replication is asynchronous\n");
  EXPECT_EQ(told_of(with(mysql_alone, {{"rpl_semi_sync_source_enabled", "OFF"}})),
            "replication is asynchronous: rpl_semi_sync_source_enabled = OFF\n");
  EXPECT_EQ(told_of({{"version", "10.11.6-MariaDB"}, {"log_bin", "OFF"}, {"rpl_semi_sync_master_enabled", "ON"}}),
            "log_bin = OFF\n");
}

TEST(mariadb_replication, of_a_cluster_of_a_group_and_of_a_replica_is_none_of_this) {
  EXPECT_EQ(told_of(with(mariadb_alone, {{"wsrep_on", "ON"}})), "");
  EXPECT_EQ(told_of(with(mysql_alone, {{"group_replication_group_name", "3e11fa47-71ca-11e1-9e33-c80aa9429562"}})), "");
  EXPECT_EQ(told_of(with(mariadb_alone, {{"read_only", "ON"}})), "");
  EXPECT_EQ(told_of({{"version", "8.0.11-TiDB-v8.5.0"}, {"log_bin", "OFF"}}), "");
}

TEST(mariadb_replication, that_commits_wait_for_long_enough_is_well) {
  EXPECT_EQ(told_of(mariadb_waiting), "");
  EXPECT_EQ(told_of(mysql_waiting), "");
}

TEST(mariadb_replication, that_gives_up_waiting_is_told_by_the_names_that_the_server_has) {
  EXPECT_EQ(told_of(with(mariadb_waiting, {{"rpl_semi_sync_master_timeout", "10000"}})),
            "rpl_semi_sync_master_timeout = 10000\n");
  EXPECT_EQ(told_of(with(mysql_waiting, {{"rpl_semi_sync_source_timeout", "10000"}})),
            "rpl_semi_sync_source_timeout = 10000\n");
  EXPECT_EQ(told_of(with(mariadb_waiting, {{"rpl_semi_sync_master_wait_point", "AFTER_COMMIT"}})),
            "note: rpl_semi_sync_master_wait_point = AFTER_COMMIT\n");
}

TEST(mariadb_replication, that_no_replica_is_there_for_is_told) {
  EXPECT_EQ(told_of(with(mariadb_waiting, {{"rpl_semi_sync_master_clients", "0"}})),
            "ERROR Rpl_semi_sync_master_clients = 0\n");
  EXPECT_EQ(told_of(with(mysql_waiting, {{"rpl_semi_sync_source_wait_for_replica_count", "2"}})),
            "ERROR Rpl_semi_sync_source_clients = 1\n");
  EXPECT_EQ(
      told_of(with(mariadb_waiting, {{"rpl_semi_sync_master_clients", "0"}, {"rpl_semi_sync_master_status", "OFF"}})),
      "Rpl_semi_sync_master_status = OFF\n");
}

std::string told_of_switchover(const facts& told, const char* grant) {
  result rows;
  for (const auto& [name, text] : told) rows.rows.push_back({value(std::string(name)), value(std::string(text))});
  server_settings settings;
  settings.add(rows);
  mariadb::grants account;
  account.add(grant);
  std::string all;
  for (const finding& f : mariadb::switchover_findings(settings, account)) all.append(f.what).append("; ");
  return all;
}

TEST(mariadb_switchover, that_does_not_stop_the_account_is_told) {
  const facts mariadb_old{{"version", "10.6.20-MariaDB"}};
  const char* may_write = "the account may write while the server's read_only is on; ";
  for (const char* grant :
       {"GRANT ALL PRIVILEGES ON *.* TO `shop`@`%` WITH GRANT OPTION",
        "GRANT SELECT, READ_ONLY ADMIN ON *.* TO `shop`@`%`", "GRANT INSERT, READ ONLY ADMIN ON *.* TO `shop`@`%`"})
    EXPECT_EQ(told_of_switchover(mariadb_alone, grant), may_write) << grant;
  for (const char* grant : {"GRANT SELECT, SUPER ON *.* TO `shop`@`%`", "GRANT CONNECTION_ADMIN ON *.* TO `shop`@`%`"})
    EXPECT_EQ(told_of_switchover(mysql_alone, grant), may_write) << grant;
  const char* super = "GRANT SUPER ON *.* TO `shop`@`%`";
  EXPECT_EQ(told_of_switchover(mariadb_old, super), may_write);
  EXPECT_EQ(told_of_switchover(mariadb_alone, super), "") << "11.8";
}

TEST(mariadb_switchover, that_stops_the_account_is_well) {
  for (const char* grant : {"GRANT ALL PRIVILEGES ON `shop`.* TO `shop`@`%`", "GRANT ALL PRIVILEGES ON `%`.* TO a",
                            "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON *.* TO `shop`@`%`"})
    EXPECT_EQ(told_of_switchover(mariadb_alone, grant), "") << grant;
  const char* all = "GRANT ALL PRIVILEGES ON *.* TO `shop`@`%`";
  EXPECT_EQ(told_of_switchover(with(mariadb_alone, {{"read_only", "ON"}}), all), "");
  EXPECT_EQ(told_of_switchover(with(mariadb_alone, {{"wsrep_on", "ON"}}), all), "");
}

}  // namespace
}  // namespace penstock::db
