#include <penstock/db/table.h>

#include <gtest/gtest.h>

namespace penstock::db {
namespace {

const table_definition wanted{"t", "id", {{"name", column_type::text}}, {"name"}};
const std::vector<existing_column> in_capitals{{"Id", "bigint", false}, {"Name", "text", false}};

TEST(table, names_that_differ_in_case_are_one_where_the_database_says_so) {
  EXPECT_TRUE(table_differences(wanted, in_capitals, {{"NAME"}}).empty());
}

TEST(table, names_that_differ_in_case_are_two_where_quoted_names_keep_it) {
  std::vector<std::string> differences = table_differences(wanted, in_capitals, {{"NAME"}}, name_case::kept);
  ASSERT_EQ(differences.size(), 3u);
  EXPECT_NE(differences[0].find("'id'"), std::string::npos);
  EXPECT_NE(differences[1].find("'name'"), std::string::npos);
  EXPECT_NE(differences[2].find("unique index"), std::string::npos);
}

}  // namespace
}  // namespace penstock::db
