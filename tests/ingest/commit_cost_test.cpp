#include "ingest/commit_cost.h"

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;

TEST(commit_cost, is_nothing_before_the_first_commit) { EXPECT_EQ(commit_cost().of(1'000), 0s); }

TEST(commit_cost, of_many_rows_is_not_that_of_as_many_commits) {
  commit_cost cost;
  for (int i = 0; i < 300; ++i) cost.committed(1, 10ms);
  EXPECT_FALSE(cost.is_divided());
  EXPECT_NEAR(std::chrono::duration<double>(cost.of(2'000)).count(), 0.01, 1e-6);
}

TEST(commit_cost, is_that_of_a_commit_and_of_its_rows) {
  commit_cost cost;
  for (std::size_t rows : {1, 100, 500, 20}) cost.committed(rows, 10ms + 100us * rows);
  ASSERT_TRUE(cost.is_divided());
  EXPECT_NEAR(cost.of_a_commit(), 0.01, 1e-6);
  EXPECT_NEAR(cost.of_a_row(), 0.0001, 1e-8);
  EXPECT_NEAR(std::chrono::duration<double>(cost.of(2'000)).count(), 0.21, 1e-4);
}

}  // namespace
}  // namespace penstock::ingest
