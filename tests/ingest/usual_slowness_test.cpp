// What a database usually takes, and what it took once, where some of its rows take for ever.

#include "rows_fixture.h"

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

struct timed_ends {
  std::vector<item_status> items;
  duration took{};
};

class usual_slowness : public rows_test {
 protected:
  usual_slowness() {
    server_->slow_rows = {{endless, 10h}};
    // Each write takes so long, while it is set.
    server_->pause = [this](const std::string& what) {
      return what == "ROWS processed_data" ? std::max<duration>(write_takes_, still_until_ - scheduler::current().now())
                                           : server_->latency;
    };
  }

  static task<timed_ends> store(processor& p, std::vector<std::string> items, bool singly) {
    time_point start = scheduler::current().now();
    task<std::vector<item_status>> processing = process(p, std::move(items), singly);
    timed_ends ends;
    ends.items = co_await std::move(processing);
    ends.took = scheduler::current().now() - start;
    co_return ends;
  }

  // All are stored, save the endless one.
  task<duration> store_beside_endless(processor& p, bool singly) {
    std::vector<std::string> items = {"1", endless, "2"};
    task<timed_ends> storing = store(p, items, singly);
    timed_ends ends = co_await std::move(storing);
    for (std::size_t i = 0; i < items.size(); ++i)
      EXPECT_EQ(ends.items[i], items[i] == endless ? item_status::failed : item_status::stored) << items[i];
    co_return ends.took;
  }

  task<void> store_singles(processor& p, int count) {
    for (int n = 0; n < count; ++n) {
      std::vector<std::string> one(1, "\"single\"");
      task<timed_ends> storing = store(p, std::move(one), true);
      EXPECT_EQ((co_await std::move(storing)).items.front(), item_status::stored);
    }
  }

  static inline const std::string endless = "\"endless\"";
  duration write_takes_ = 5ms;
  time_point still_until_{};
};

TEST_F(usual_slowness, is_not_learnt_from_a_row_that_took_long_once) {
  for (bool singly : {true, false}) {
    server_->slow_rows["\"slow\""] = 20s;
    run([&](processor& p) -> task<void> {
      task<void> first = store_singles(p, 5);
      co_await std::move(first);
      std::vector<std::string> pair = {"\"slow\"", "\"good\""};
      task<timed_ends> teaching = store(p, pair, false);
      EXPECT_GE((co_await std::move(teaching)).took, 20s);
      task<duration> finding = store_beside_endless(p, singly);
      EXPECT_LT(co_await std::move(finding), 30s + 6s);
      task<duration> again = store_beside_endless(p, singly);
      EXPECT_LT(co_await std::move(again), singly ? 12s : 6s) << singly;
    });
  }
}

TEST_F(usual_slowness, is_not_learnt_from_a_table_that_stood_still) {
  options_.commits.commits_in_flight = 3;
  run([&](processor& p) -> task<void> {
    task<void> first = store_singles(p, 5);
    co_await std::move(first);
    still_until_ = scheduler::current().now() + 20s;
    task<timed_ends> standing = store(p, numbers(3), false);
    EXPECT_GE((co_await std::move(standing)).took, 20s);
    task<duration> finding = store_beside_endless(p, true);
    EXPECT_LT(co_await std::move(finding), 30s + 6s);
    for (bool singly : {false, true}) {
      task<duration> again = store_beside_endless(p, singly);
      EXPECT_LT(co_await std::move(again), 12s) << singly;
    }
  });
}

TEST_F(usual_slowness, is_not_learnt_from_an_outage) {
  run([&](processor& p) -> task<void> {
    task<void> first = store_singles(p, 5);
    co_await std::move(first);
    server_->cuts = [](std::size_t, const std::string&) { return std::optional(cut::before); };
    server_->armed = server_->away = true;
    auto mending = [&]() -> task<void> {
      co_await sleep_for(8s);
      server_->armed = server_->away = false;
    };
    auto both = gather(store(p, numbers(3), false), mending());
    auto [ends, nothing] = co_await std::move(both);
    EXPECT_EQ(ends.items.front(), item_status::stored);
    EXPECT_GE(ends.took, 8s);
    task<duration> finding = store_beside_endless(p, false);
    EXPECT_LT(co_await std::move(finding), 30s + 6s);
    task<duration> again = store_beside_endless(p, false);
    EXPECT_LT(co_await std::move(again), 6s);
  });
}

TEST_F(usual_slowness, leaves_time_to_store_all_others_beside_an_endless_row) {
  for (bool singly : {false, true}) {
    write_takes_ = 3s;
    run([&](processor& p) -> task<void> {
      task<void> first = store_singles(p, 10);
      co_await std::move(first);
      for (int n = 0; n < 5; ++n) {
        task<duration> storing = store_beside_endless(p, singly);
        EXPECT_LT(co_await std::move(storing), 2min);
      }
    });
  }
}

TEST_F(usual_slowness, that_begins_is_learnt_while_an_endless_row_is_remembered) {
  run([&](processor& p) -> task<void> {
    task<void> first = store_singles(p, 20);
    co_await std::move(first);
    write_takes_ = 3s;
    task<void> learning = store_singles(p, 4);
    co_await std::move(learning);
    task<duration> finding = store_beside_endless(p, true);
    co_await std::move(finding);
    task<void> later = store_singles(p, 10);
    co_await std::move(later);
  });
}

}  // namespace
}  // namespace penstock::ingest
