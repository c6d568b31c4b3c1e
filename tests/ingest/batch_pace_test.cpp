#include "ingest/batch_pace.h"

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;

// A store on which rows never stop coming: each batch is as large as it may be.
struct busy_store {
  duration of_a_commit;
  duration of_a_row;

  std::size_t limit_in_the_end(batch_pace pace) const {
    for (int i = 0; i < 200; ++i) {
      std::size_t rows = pace.row_limit();
      pace.committed(rows, of_a_commit + of_a_row * rows);
    }
    return pace.row_limit();
  }
};

TEST(batch_pace, a_store_slow_to_commit_gets_large_batches) {
  busy_store slow{200ms, 20us};
  EXPECT_EQ(slow.limit_in_the_end(batch_pace(10'000, 50ms, 1)), 10'000u);
}

TEST(batch_pace, a_store_slow_to_take_rows_gets_batches_of_the_target_time) {
  busy_store slow{1ms, 100us};
  std::size_t limit = slow.limit_in_the_end(batch_pace(10'000, 50ms, 1));
  EXPECT_GE(limit, 400u);
  EXPECT_LE(limit, 800u);  // 490 rows take 50 ms, and sometimes half as many more are tried
}

TEST(batch_pace, a_fast_store_gets_as_many_rows_as_there_may_be) {
  busy_store fast{1ms, 3us};
  EXPECT_EQ(fast.limit_in_the_end(batch_pace(10'000, 50ms, 1)), 10'000u);
}

TEST(batch_pace, bounds_hold_whatever_a_commit_took) {
  batch_pace pace(50, 50ms, 2);
  EXPECT_EQ(pace.row_limit(), 50u);
  for (duration took : {0ms, 10'000ms, 1ms}) {
    pace.committed(1, took);
    pace.committed(50, took);
    EXPECT_LE(pace.row_limit(), 50u);
    EXPECT_GE(pace.row_limit(), 1u);
  }
  EXPECT_LE(pace.interval(), 25ms);
}

TEST(batch_pace, a_store_that_becomes_slow_is_noticed) {
  batch_pace pace(10'000, 50ms, 1);
  for (std::size_t rows : {100, 900, 500, 1000}) pace.committed(rows, 1ms + 3us * rows);
  EXPECT_EQ(pace.row_limit(), 10'000u);
  for (int i = 0; i < 20; ++i) {
    std::size_t rows = i % 2 == 0 ? pace.row_limit() : pace.row_limit() / 2;
    pace.committed(rows, 1ms + 100us * rows);
  }
  EXPECT_LE(pace.row_limit(), 600u);
}

TEST(batch_pace, commits_at_a_time_are_spread_over_the_time_of_one) {
  batch_pace pace(10'000, 50ms, 4);
  EXPECT_EQ(pace.interval(), 0ms) << "nothing is known yet";
  for (int i = 0; i < 10; ++i) pace.committed(64, 8ms);
  EXPECT_NEAR(std::chrono::duration<double>(pace.interval()).count(), 0.002, 1e-6);
}

TEST(batch_pace, one_commit_at_a_time_needs_no_interval) {
  batch_pace pace(10'000, 50ms, 1);
  pace.committed(64, 8ms);
  EXPECT_EQ(pace.interval(), 0ms);
}

}  // namespace
}  // namespace penstock::ingest
