#include "db/mariadb/grants.h"

#include <gtest/gtest.h>

namespace penstock::db::mariadb {
namespace {

bool gives(std::string_view line, std::string_view right, std::string_view database = "my_shop") {
  grants all;
  all.add(line);
  return all.give(right, database, "orders");
}

TEST(mariadb_grants, names_are_in_either_quotes_and_databases_are_patterns) {
  for (const char* object : {"*.*", "`my_shop`.*", "\"my_shop\".*", "`my\\_shop`.*", "\"my\\_sh%\".*", "\"%\".*",
                             "`MY_SHOP`.`orders`", "\"my_shop\".\"Orders\""})
    EXPECT_TRUE(gives("GRANT SELECT, INSERT ON " + std::string(object) + " TO `shop`@`%`", "INSERT")) << object;
  for (const char* object : {"`my_shop2`.*", "`shop`.*", "`my\\_`.*", "\"my_shop\".\"order\"", "\"my_shop\".\"or%\"",
                             "PROCEDURE `my_shop`.`orders`"})
    EXPECT_FALSE(gives("GRANT SELECT, INSERT ON " + std::string(object) + " TO `shop`@`%`", "INSERT")) << object;
  EXPECT_FALSE(gives("GRANT INSERT ON `my\\_shop`.* TO `shop`@`%`", "INSERT", "my2shop"));
  EXPECT_TRUE(gives("GRANT INSERT ON `my``shop`.* TO `shop`@`%`", "INSERT", "my`shop"));
}

TEST(mariadb_grants, a_right_counts_whole_and_for_some_columns_too) {
  EXPECT_TRUE(gives("GRANT ALL PRIVILEGES ON *.* TO `shop`@`%` WITH GRANT OPTION", "DELETE"));
  EXPECT_TRUE(gives("GRANT SELECT (`a`, `b`), INSERT (`a`), UPDATE ON `my_shop`.`orders` TO `shop`@`%`", "INSERT"));
  EXPECT_FALSE(gives("GRANT SELECT (`a`, `DELETE`) ON `my_shop`.`orders` TO `shop`@`%`", "DELETE"));
  EXPECT_FALSE(gives("GRANT CREATE VIEW, CREATE TEMPORARY TABLES, DELETE HISTORY ON `my_shop`.* TO a", "CREATE"));
  EXPECT_FALSE(gives("GRANT `reader` TO `shop`@`%`", "SELECT"));
  EXPECT_FALSE(gives("SET DEFAULT ROLE `reader` FOR `shop`@`%`", "SELECT"));
}

TEST(mariadb_grants, what_is_taken_away_from_a_database_is_not_given_by_a_wider_grant) {
  grants all;
  all.add("GRANT SELECT, INSERT, CREATE ON *.* TO `shop`@`%`");
  all.add("REVOKE INSERT, CREATE ON `my_shop`.* FROM `shop`@`%`");
  EXPECT_TRUE(all.give("SELECT", "my_shop", "orders"));
  EXPECT_FALSE(all.give("INSERT", "my_shop", "orders"));
  EXPECT_TRUE(all.give("INSERT", "other", "orders"));
  EXPECT_TRUE(all.give("INSERT", "myxshop", "orders")) << "what is taken away names one database";
}

}  // namespace
}  // namespace penstock::db::mariadb
