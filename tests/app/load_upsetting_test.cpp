// Items for which the database fails their whole request, beside others: in virtual time, by a server that is made up.

#include "load_sender_world.h"

#include <functional>
#include <string>
#include <utility>

#include <gmock/gmock.h>

namespace penstock::app::load {
namespace {

using ::testing::Contains;

// Its request was sent again and again, and then the load ended.
TEST(load_upsetting, an_item_that_upsets_the_database_is_rejected_and_all_others_go_in) {
  for (std::size_t concurrency : {1, 4})
    for (std::size_t batches : {1, 10}) {
      world w(batches, {.concurrency = concurrency});
      w.items_a_batch = 20;
      w.serve_batch = [](const batch& sent) {
        for (std::size_t i = 0; i < sent.items.size(); ++i)
          if (sent.text_of(i) == "1" || sent.text_of(i) == "15" || sent.text_of(i) == "200")
            return attempt{.status = 503, .body = R"({"code":"db.other","detail":"upset"})"};
        return attempt{.status = 200, .body = all_stored(sent.items.size())};
      };
      w.run();
      const std::size_t bad = batches == 1 ? 2 : 3;
      EXPECT_EQ(w.stopped, "");
      EXPECT_EQ(w.result.counts().rejected, bad);
      EXPECT_EQ(w.result.counts().stored, 20 * batches - bad);
      EXPECT_THAT(w.result.first_rejections(),
                  Contains("file line 15: db.other: the database fails it each time that it is sent alone, and "
                           "stores others; the server's log says why"));
      EXPECT_LT(w.attempts, 60u);
      EXPECT_LT(w.sim.elapsed(), 5s);
    }
}

TEST(load_upsetting, many_items_that_upset_the_database_side_by_side_are_rejected) {
  for (std::size_t concurrency : {1, 4})
    for (auto [first, last] : {std::pair(500, 530), std::pair(500, 700), std::pair(1, 30), std::pair(1970, 2000)}) {
      SCOPED_TRACE(std::to_string(concurrency) + " at a time, from " + std::to_string(first));
      world w(100, {.concurrency = concurrency});
      w.items_a_batch = 20;
      w.serve_batch = upset_server{[&](int item, std::size_t) { return item >= first && item <= last; }, w};
      w.run();
      const auto bad = static_cast<std::size_t>(last - first + 1);
      EXPECT_EQ(w.stopped, "");
      EXPECT_EQ(w.result.counts().rejected, bad);
      EXPECT_EQ(w.result.counts().stored, 2'000 - bad);
    }
}

TEST(load_upsetting, no_item_is_rejected_for_what_passes) {
  for (std::size_t concurrency : {1, 4})
    for (std::size_t away : {1, 5, 30}) {
      world w(400, {.concurrency = concurrency}, 20ms);
      w.items_a_batch = 20;
      w.serve_batch = upset_server{[&](int, std::size_t attempts) { return attempts % 200 < away; }, w};
      w.run();
      EXPECT_EQ(w.stopped, "");
      EXPECT_EQ(w.result.counts().rejected, 0u);
      EXPECT_EQ(w.result.counts().stored, 8'000u);
    }
}

TEST(load_upsetting, a_table_that_fails_every_item_ends_the_load_after_its_time) {
  world w(10, {.concurrency = 2, .retry = {.retry_for = 30s}});
  w.items_a_batch = 20;
  w.serve = [](std::size_t) { return attempt{.status = 503, .body = R"({"code":"db.syntax","detail":"no table"})"}; };
  w.run();
  EXPECT_EQ(w.stopped, "503 Service Unavailable (db.syntax): no table");
  EXPECT_EQ(w.result.counts().stored, 0u);
  EXPECT_EQ(w.result.counts().rejected, 0u);
  EXPECT_EQ(w.result.counts().not_sent, 200u);  // each was tried with its request, and set aside
  EXPECT_GE(w.sim.elapsed(), 30s);
  EXPECT_LT(w.sim.elapsed(), 90s);
}

TEST(load_upsetting, items_of_a_table_that_is_away_for_a_while_go_in_once_it_is_back) {
  world w(10, {.concurrency = 2});
  w.items_a_batch = 20;
  w.serve_batch = [&w](const batch& sent) {
    if (w.attempts > 10 && w.attempts < 90) return attempt{.status = 503, .body = R"({"code":"db.syntax"})"};
    return attempt{.status = 200, .body = all_stored(sent.items.size())};
  };
  w.run();
  EXPECT_EQ(w.stopped, "");
  EXPECT_EQ(w.result.counts().stored, 200u);
}

// No whole batch goes in before the bad ones are found.
TEST(load_upsetting, items_in_every_batch_are_found_and_all_others_go_in) {
  for (std::size_t concurrency : {1, 4}) {
    world w(100, {.concurrency = concurrency}, 1ms);
    w.items_a_batch = 100;
    w.serve_batch = upset_server{[](int item, std::size_t) { return item % 50 == 7; }, w};
    w.run();
    EXPECT_EQ(w.stopped, "");
    EXPECT_EQ(w.result.counts().rejected, 200u);
    EXPECT_EQ(w.result.counts().stored, 9'800u);
  }
}

TEST(load_upsetting, items_that_are_all_there_is_end_the_load_after_its_time) {
  for (std::size_t items : {1, 20, 100}) {
    world w(1, {.concurrency = 2, .retry = {.retry_for = 10s}});
    w.items_a_batch = items;
    w.serve_batch = upset_server{[](int, std::size_t) { return true; }, w};
    w.run();
    EXPECT_EQ(w.stopped, "503 Service Unavailable (db.other): upset");
    EXPECT_EQ(w.result.counts().rejected, 0u);
    EXPECT_EQ(w.result.counts().not_sent, items);
    EXPECT_LT(w.sim.elapsed(), 30s);
  }
}

// What is a duplicate, or rejected before the table sees it, says nothing of the table.
TEST(load_upsetting, items_are_rejected_only_where_others_are_stored) {
  world w(100, {.concurrency = 4}, 100ms);
  const time_point back = w.sim.now() + 20s;
  w.serve_batch = [&](const batch& sent) {
    if (std::stoi(std::string(sent.text_of(0))) % 2 == 0)
      return attempt{.status = 200, .body = R"({"stored":0,"rejected":0,"duplicates":1,"results":[]})"};
    if (w.sim.now() < back) return attempt{.status = 503, .body = R"({"code":"db.other","detail":"upset"})"};
    return attempt{.status = 200, .body = all_stored(1)};
  };
  w.run();
  EXPECT_EQ(w.stopped, "");
  EXPECT_EQ(w.result.counts().rejected, 0u);
  EXPECT_EQ(w.result.counts().stored, 50u);
}

TEST(load_upsetting, the_last_items_are_not_rejected_where_more_fail_than_may_be_at_fault_themselves) {
  for (std::size_t concurrency : {1, 4, 16}) {
    world w(12, {.concurrency = concurrency});
    w.items_a_batch = 20;
    const time_point back = w.sim.now() + 8s;
    w.serve_batch = upset_server{[&](int item, std::size_t) { return item > 200 && w.sim.now() < back; }, w};
    w.run();
    EXPECT_EQ(w.stopped, "");
    EXPECT_EQ(w.result.counts().rejected, 0u);
    EXPECT_EQ(w.result.counts().stored, 240u);
  }
}

}  // namespace
}  // namespace penstock::app::load
