// The database fails a batch with an error that names no row: as when a trigger gives a value to what can't take it.

#include "marked_database.h"
#include <penstock/async/gather.h>
#include <penstock/ingest/processor.h>
#include <penstock/observe/log_capture.h>
#include <penstock/observe/metrics.h>
#include <penstock/testing/random_stream.h>
#include <penstock/testing/simulation.h>

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

class upsetting_rows : public ::testing::Test {
 protected:
  upsetting_rows() {
    options_.max_batches = 1'000;
    options_.commits.commits_in_flight = 1;
  }

  template <class Body>
  void run(Body body) {
    penstock::testing::simulation sim;
    auto main = [&]() -> task<void> {
      processor p(db::database(std::make_shared<marked_driver>(server_)), options_, {}, &registry_);
      co_await p.open();
      tries_before_ = tries();
      co_await body(p);
      co_await p.close();
    };
    sim.run(main());
  }

  // Sends them as so many batches at once, one item each or all in one, and gives what became of each item.
  static task<std::vector<item_status>> process(processor& p, std::vector<std::string> items, bool singly) {
    std::vector<std::vector<std::string>> requests(singly ? items.size() : 1);
    for (std::size_t i = 0; i < items.size(); ++i) requests[singly ? i : 0].push_back(items[i]);
    std::vector<task<batch_result>> all;
    for (std::vector<std::string>& request : requests) all.push_back(p.process(std::move(request)));
    task<std::vector<batch_result>> gathering = gather(std::move(all));
    std::vector<batch_result> results = co_await std::move(gathering);
    std::vector<item_status> ends;
    for (const batch_result& r : results)
      for (const item_result& item : r.items) ends.push_back(item.status);
    co_return ends;
  }

  static std::vector<std::string> numbers(std::size_t count) {
    std::vector<std::string> list;
    for (std::size_t n = 0; n < count; ++n) list.push_back(std::to_string(n));
    return list;
  }

  // Each item that does not upset the database is stored once, and the others are not.
  void check(const std::vector<item_status>& ends) const {
    for (std::size_t i = 0; i < ends.size(); ++i) {
      std::string item = std::to_string(i);
      bool upsets = server_->upsetting_rows.contains(item);
      EXPECT_EQ(ends[i], upsets ? item_status::failed : item_status::stored) << item;
      EXPECT_EQ(std::count(server_->stored.begin(), server_->stored.end(), item), upsets ? 0 : 1) << item;
    }
  }

  std::ptrdiff_t tries() const {
    return std::count(server_->operations.begin(), server_->operations.end(), "ROWS processed_data");
  }
  std::ptrdiff_t tries_since_the_start() const { return tries() - tries_before_; }

  std::shared_ptr<marked_server> server_ = std::make_shared<marked_server>();
  metrics::registry registry_;
  processor_options options_;
  log::capture logged_;
  std::ptrdiff_t tries_before_ = 0;
};

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
