// The database fails a batch with an error that names no row: as when a trigger gives a value to what can't take it.

#include "rows_fixture.h"
#include <penstock/testing/random_stream.h>

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

class upsetting_rows : public rows_test {};

}  // namespace

TEST_F(upsetting_rows, fail_alone) {
  for (bool singly : {true, false}) {
    server_->upsetting_rows = {"17", "500", "501"};
    server_->stored.clear();
    run([&](processor& p) -> task<void> {
      task<std::vector<item_status>> processing = process(p, numbers(1'000), singly);
      std::vector<item_status> ends = co_await std::move(processing);
      EXPECT_EQ(ends.size(), 1'000u);
      check(ends);
      EXPECT_LE(tries_since_the_start(), 60) << "singly: " << singly;
    });
    std::string log = logged_.text();
    EXPECT_NE(log.find("the server is upset"), std::string::npos) << log;
    EXPECT_EQ(log.find("items wait for a lock"), std::string::npos) << log;
  }
  std::string metrics = registry_.render();
  EXPECT_NE(metrics.find("penstock_rows_set_apart_total{stream=\"items\"} 0"), std::string::npos) << metrics;
}

TEST_F(upsetting_rows, leave_each_refused_row_beside_them_its_own_reason) {
  server_->upsetting_rows = {"3"};
  server_->refused_rows = {"1", "11", "12", "19"};
  run([&](processor& p) -> task<void> {
    std::vector<task<batch_result>> all;
    for (const std::string& item : numbers(20)) all.push_back(p.process(std::vector<std::string>(1, item)));
    task<std::vector<batch_result>> gathering = gather(std::move(all));
    std::vector<batch_result> results = co_await std::move(gathering);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const item_result& end = results[i].items.at(0);
      std::string item = std::to_string(i);
      std::string expected = server_->refused_rows.contains(item) ? "refused: " + item : "";
      EXPECT_EQ(end.status == item_status::rejected ? end.error->message : "", expected);
    }
  });
}

// What a batch wrote is undone at once, not when its session is lent again.
TEST_F(upsetting_rows, leave_no_transaction_open) {
  server_->upsetting_rows = {"3"};
  run([&](processor& p) -> task<void> {
    task<std::vector<item_status>> processing = process(p, numbers(20), true);
    check(co_await std::move(processing));
    task<std::vector<item_status>> more = process(p, numbers(3), false);
    co_await std::move(more);
  });
  EXPECT_EQ(server_->resets, 0u);
}

TEST_F(upsetting_rows, that_take_longer_than_the_server_allows_fail_alone) {
  server_->upset_as = db::db_errc::interrupted;
  server_->upsetting_rows = {"17", "500", "501"};
  run([&](processor& p) -> task<void> {
    task<std::vector<item_status>> processing = process(p, numbers(1'000), true);
    std::vector<item_status> ends = co_await std::move(processing);
    check(ends);
  });
}

TEST_F(upsetting_rows, that_are_all_of_a_batch_are_not_tried_one_by_one) {
  for (const std::string& item : numbers(1'000)) server_->upsetting_rows.insert(item);
  run([&](processor& p) -> task<void> {
    task<std::vector<item_status>> processing = process(p, numbers(1'000), false);
    std::vector<item_status> ends = co_await std::move(processing);
    check(ends);
    EXPECT_LE(tries_since_the_start(), 40);
  });
}

TEST_F(upsetting_rows, do_no_harm_beside_rows_that_wait_for_a_lock) {
  server_->lock_timeout = 1h;
  server_->upsetting_rows = {"3"};
  server_->locked_rows = {"5"};
  run([&](processor& p) -> task<void> {
    auto unlocking = [](marked_server& server) -> task<void> {
      co_await sleep_for(2s);
      server.locked_rows.clear();
    };
    auto both = gather(process(p, numbers(20), true), unlocking(*server_));
    auto [ends, nothing] = co_await std::move(both);
    check(ends);
  });
}

TEST_F(upsetting_rows, of_one_request_do_no_harm_to_others_however_many_they_are) {
  for (int turn = 0; turn < 20; ++turn) {
    server_->stored.clear();
    server_->upsetting_rows.clear();
    for (const std::string& item : numbers(100)) server_->upsetting_rows.insert("1000" + item);
    run([&](processor& p) -> task<void> {
      std::vector<std::string> bad(server_->upsetting_rows.begin(), server_->upsetting_rows.end());
      auto both = gather(process(p, std::move(bad), false), process(p, numbers(8), true));
      auto [bad_ends, ends] = co_await std::move(both);
      for (item_status end : bad_ends) EXPECT_EQ(end, item_status::failed);
      check(ends);
      EXPECT_LE(tries_since_the_start(), 200);
    });
  }
}

TEST_F(upsetting_rows, at_the_start_of_a_request_do_not_keep_the_rest_out) {
  for (std::size_t bad : {15, 16, 20, 60}) {
    server_->stored.clear();
    server_->upsetting_rows.clear();
    for (const std::string& item : numbers(bad)) server_->upsetting_rows.insert(item);
    run([&](processor& p) -> task<void> {
      task<std::vector<item_status>> processing = process(p, numbers(bad + 100), false);
      std::vector<item_status> ends = co_await std::move(processing);
      check(ends);
    });
  }
}

TEST_F(upsetting_rows, beside_rows_that_stay_locked_keep_no_other_out) {
  server_->lock_timeout = 1h;
  server_->upsetting_rows = {"0"};
  server_->locked_rows = {"10", "60"};
  run([&](processor& p) -> task<void> {
    task<std::vector<item_status>> processing = process(p, numbers(100), false);
    std::vector<item_status> ends = co_await std::move(processing);
    EXPECT_EQ(std::count(ends.begin(), ends.end(), item_status::stored), 97);
  });
}

TEST_F(upsetting_rows, let_the_others_of_their_request_wait_for_locks) {
  server_->lock_timeout = 1h;
  server_->upsetting_rows = {"3"};
  run([&](processor& p) -> task<void> {
    auto locking = [](marked_server& server) -> task<void> {
      for (int turn = 0; turn < 20; ++turn) {
        server.locked_rows = {std::to_string(turn)};
        co_await sleep_for(50ms);
      }
      server.locked_rows.clear();
    };
    auto both = gather(process(p, numbers(20), false), locking(*server_));
    auto [ends, nothing] = co_await std::move(both);
    check(ends);
  });
}

TEST_F(upsetting_rows, fail_alone_whatever_they_are) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    penstock::testing::random_stream draw(seed);
    server_->stored.clear();
    server_->upsetting_rows.clear();
    std::size_t count = draw.below(200) + 2;
    std::vector<std::string> items = numbers(count);
    for (std::size_t n = draw.below(10); n > 0; --n) server_->upsetting_rows.insert(items[draw.below(count)]);
    options_.commits.max_rows = draw.below(100) + 20;
    run([&](processor& p) -> task<void> {
      task<std::vector<item_status>> processing = process(p, items, draw.below(2) == 0);
      std::vector<item_status> ends = co_await std::move(processing);
      EXPECT_EQ(ends.size(), count);
      check(ends);
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

}  // namespace penstock::ingest
