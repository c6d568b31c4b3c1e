// What waits in the queue while batches before it can't be stored.

#include "rows_fixture.h"

namespace penstock::ingest {
namespace {

class queued_rows : public rows_test {
 protected:
  queued_rows() {
    options_.commits.max_rows = 1;
    options_.commits.commit_retry = 10s;
    options_.commits.attempt_timeout = 10s;
  }
  // Sessions are lost at their next operation, and connects refused, while it is.
  void be_away(bool is_away) {
    server_->away = server_->armed = is_away;
    server_->cuts = [](std::size_t, const std::string&) { return std::optional(cut::before); };
  }
  static duration since(time_point start) { return scheduler::current().now() - start; }
};

TEST_F(queued_rows, fail_with_the_batch_that_was_tried_in_vain_for_a_database_that_is_away) {
  run([&](processor& p) -> task<void> {
    time_point start = scheduler::current().now();
    be_away(true);
    task<std::vector<item_status>> processing = process(p, numbers(30), true);
    std::vector<item_status> ends = co_await std::move(processing);
    EXPECT_EQ(std::count(ends.begin(), ends.end(), item_status::failed), 30);
    EXPECT_LT(since(start), 25s);
    be_away(false);
    task<std::vector<item_status>> again = process(p, numbers(30), true);
    ends = co_await std::move(again);
    EXPECT_EQ(std::count(ends.begin(), ends.end(), item_status::stored), 30);
  });
  EXPECT_EQ(server_->stored.size(), 30u);
}

// A request has no more than three batches in the queue at a time.
TEST_F(queued_rows, of_one_large_request_fail_together_and_of_the_next_one_are_tried) {
  run([&](processor& p) -> task<void> {
    be_away(true);
    time_point start = scheduler::current().now();
    task<std::vector<item_status>> processing = process(p, numbers(30), false);
    std::vector<item_status> ends = co_await std::move(processing);
    EXPECT_EQ(std::count(ends.begin(), ends.end(), item_status::failed), 30);
    EXPECT_LT(since(start), 25s);
    auto coming_back = [&]() -> task<void> {
      co_await sleep_for(5s);
      be_away(false);
    };
    auto both = gather(process(p, numbers(30), false), coming_back());
    auto [again, nothing] = co_await std::move(both);
    EXPECT_EQ(std::count(again.begin(), again.end(), item_status::stored), 30);
  });
}

TEST_F(queued_rows, are_stored_where_the_database_comes_back_in_time) {
  run([&](processor& p) -> task<void> {
    be_away(true);
    auto coming_back = [&]() -> task<void> {
      co_await sleep_for(8s);
      be_away(false);
    };
    auto both = gather(process(p, numbers(30), true), coming_back());
    auto [ends, nothing] = co_await std::move(both);
    EXPECT_EQ(std::count(ends.begin(), ends.end(), item_status::stored), 30);
  });
}

TEST_F(queued_rows, are_stored_behind_one_that_the_database_takes_long_to_refuse) {
  server_->slow_rows = {{"0", 10h}};
  run([&](processor& p) -> task<void> {
    task<std::vector<item_status>> processing = process(p, numbers(30), true);
    std::vector<item_status> ends = co_await std::move(processing);
    EXPECT_EQ(ends.at(0), item_status::failed);
    EXPECT_EQ(std::count(ends.begin(), ends.end(), item_status::stored), 29);
  });
}

}  // namespace
}  // namespace penstock::ingest
