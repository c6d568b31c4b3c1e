#include "ingest/usual_time.h"

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;

TEST(usual_time, is_unknown_before_the_first_commit) {
  EXPECT_EQ(usual_time().at_least(1'000), 0s);
  EXPECT_EQ(usual_time().at_most(1'000), 1h);
}

TEST(usual_time, of_many_rows_lies_between_that_of_a_commit_and_that_of_as_many) {
  usual_time usual;
  for (int i = 0; i < 300; ++i) usual.committed(1, 10ms);
  EXPECT_EQ(usual.at_least(2'000), 10ms);
  EXPECT_EQ(usual.at_most(2'000), 20s);
}

TEST(usual_time, of_many_rows_is_kept_however_many_single_ones_come) {
  usual_time usual;
  usual.committed(6'000, 7s);
  for (int i = 0; i < 300; ++i) usual.committed(1, 10ms);
  for (std::size_t rows : {5'000, 6'000}) {
    EXPECT_EQ(usual.at_least(rows), 7s);
    EXPECT_EQ(usual.at_most(rows), 7s);
  }
  EXPECT_EQ(usual.at_least(1), 10ms);
  EXPECT_EQ(usual.at_most(1), 10ms);
}

TEST(usual_time, of_few_rows_is_at_most_that_of_many) {
  usual_time usual;
  usual.committed(500, 100ms);
  EXPECT_EQ(usual.at_least(1), 0s);
  EXPECT_EQ(usual.at_most(1), 100ms);
}

TEST(usual_time, follows_what_commits_take) {
  usual_time usual;
  usual.committed(1, 1s);
  for (int i = 0; i < 100; ++i) usual.committed(1, 10ms);
  EXPECT_LT(usual.at_most(1), 11ms);
  usual.committed(0, 10ms);
  usual.committed(std::size_t{1} << 40, 1s);
  EXPECT_EQ(usual.at_most(std::size_t{1} << 41), 1s);
}

TEST(usual_time, is_hardly_that_of_one_commit_that_took_long) {
  usual_time usual;
  for (int i = 0; i < 10; ++i) usual.committed(1, 10ms);
  usual.committed(2, 20s);
  EXPECT_LT(usual.at_most(2), 200ms);
  usual.committed(1'000, 20s);
  EXPECT_LE(usual.at_most(1'000), 1s);
  for (int i = 0; i < 3; ++i) usual.committed(1'000, 10ms);
  EXPECT_LT(usual.at_most(1'000), 300ms);
  usual.committed(1, 20s);
  EXPECT_LT(usual.at_most(1), 500ms);
}

TEST(usual_time, is_learnt_from_some_commits_where_the_first_took_long) {
  usual_time usual;
  usual.committed(1, 20s);
  for (int i = 0; i < 7; ++i) usual.committed(1, 10ms);
  EXPECT_LT(usual.at_most(1), 3s);
}

TEST(usual_time, that_becomes_longer_is_believed_within_some_commits) {
  for (duration takes : {duration(3s), duration(25s)}) {
    usual_time usual;
    for (int i = 0; i < 100; ++i) usual.committed(1, 10ms);
    for (int i = 0; i < 3; ++i) usual.committed(1, takes);
    EXPECT_GT(8 * usual.at_most(1), 3s);
    for (int i = 0; i < 5; ++i) usual.committed(1, takes);
    EXPECT_GT(8 * usual.at_most(1), takes / 2);
    for (int i = 0; i < 40; ++i) usual.committed(1, takes);
    EXPECT_GT(usual.at_most(1), takes * 9 / 10);
  }
}

}  // namespace
}  // namespace penstock::ingest
