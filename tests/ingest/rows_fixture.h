#pragma once

// Items that go to a simulated database, by a processor, in virtual time.

#include "marked_database.h"
#include <penstock/async/gather.h>
#include <penstock/ingest/processor.h>
#include <penstock/observe/log_capture.h>
#include <penstock/observe/metrics.h>
#include <penstock/testing/simulation.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::ingest {

class rows_test : public ::testing::Test {
 protected:
  rows_test() {
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

}  // namespace penstock::ingest
