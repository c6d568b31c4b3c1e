// What load does while it can't tell whether items upset the table or the table is away, by a server that is made up.

#include "load_sender_world.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

namespace penstock::app::load {
namespace {

// Whole batches tell nothing then: none of them goes in.
TEST(load_doubt, items_go_in_once_the_table_is_well_where_every_batch_holds_a_bad_one) {
  for (std::size_t concurrency : {1, 4}) {
    world w(200, {.concurrency = concurrency, .retry = {.retry_for = 10s}}, 1ms);
    w.items_a_batch = 100;
    const time_point away = w.sim.now() + 200ms;
    w.serve_batch = upset_server{[&](int item, std::size_t) {
                                   bool is_away = w.sim.now() > away && w.sim.now() < away + 3s;
                                   return is_away || item % 50 == 7;
                                 },
                                 w};
    w.run();
    EXPECT_EQ(w.stopped, "");
    EXPECT_EQ(w.result.counts().rejected, 400u);
    EXPECT_EQ(w.result.counts().stored, 19'600u);
  }
}

TEST(load_doubt, bad_items_side_by_side_hold_up_none_where_every_batch_holds_others) {
  for (std::size_t concurrency : {1, 4})
    for (int run : {16, 40, 300, 1'000}) {
      world w(50, {.concurrency = concurrency, .retry = {.retry_for = 10s}}, 1ms);
      w.items_a_batch = 400;
      w.serve_batch = upset_server{
          [&](int item, std::size_t) { return item % 100 == 7 || (item > 5'000 && item <= 5'000 + run); }, w};
      w.run();
      EXPECT_EQ(w.stopped, "");
      const auto bad = static_cast<std::size_t>(200 + run - (run + 92) / 100);
      EXPECT_EQ(w.result.counts().rejected, bad);
      EXPECT_EQ(w.result.counts().stored, 20'000 - bad);
    }
}

TEST(load_doubt, nine_in_ten_items_may_be_bad) {
  world w(20, {.concurrency = 4, .retry = {.retry_for = 10s}}, 1ms);
  w.items_a_batch = 100;
  w.serve_batch = upset_server{[](int item, std::size_t) { return item % 10 != 3; }, w};
  w.run();
  EXPECT_EQ(w.stopped, "");
  EXPECT_EQ(w.result.counts().rejected, 1'800u);
  EXPECT_EQ(w.result.counts().stored, 200u);
}

// What is no row of the table says nothing of it, but for an item that the table has failed.
TEST(load_doubt, ends_where_the_last_items_turn_out_to_be_duplicates_or_rejected) {
  for (const char* outcome : {R"("rejected":0,"duplicates":1)", R"("rejected":1,"duplicates":0)"}) {
    world w(12, {.concurrency = 4, .retry = {.retry_for = 10s}});
    w.items_a_batch = 20;
    const time_point back = w.sim.now() + 3s;
    const upset_server upset{[&](int item, std::size_t) { return item == 201 || (item > 201 && w.sim.now() < back); },
                             w};
    w.serve_batch = [&](const batch& sent) {
      attempt answered = upset(sent);
      if (answered.status == 200 && std::stoi(std::string(sent.text_of(0))) > 201)
        answered.body = R"({"stored":0,)" + std::string(outcome) + R"(,"results":[]})";
      return answered;
    };
    sender s = w.make();
    w.sim.run(with_timeout(1h, s.run()));
    EXPECT_EQ(s.stopped_because(), "");
    EXPECT_EQ(w.result.counts().stored, 200u);
    EXPECT_EQ(w.result.counts().duplicates + w.result.counts().rejected, 40u);
    EXPECT_LT(w.sim.elapsed(), 20s);
  }
}

TEST(load_doubt, ends_the_load_after_its_time_where_some_items_become_unknown) {
  for (std::size_t concurrency : {1, 4}) {
    world w(233, {.concurrency = concurrency, .retry = {.retry_for = 8s}});
    const time_point start = w.sim.now();
    const upset_server upset{[](int item, std::size_t) { return item > 200; }, w};
    w.serve_batch = [&](const batch& sent) {
      duration since = w.sim.now() - start;
      return since > 3s && since < 7s ? attempt{.status = 502} : upset(sent);
    };
    sender s = w.make();
    w.sim.run(with_timeout(1h, s.run()));
    EXPECT_EQ(s.stopped_because(), "503 Service Unavailable (db.other): upset");
    EXPECT_EQ(w.result.counts().stored, 200u);
    EXPECT_EQ(w.result.counts().rejected, 0u);
    EXPECT_EQ(w.result.counts().items(), 233u);
    EXPECT_LT(w.sim.elapsed(), 40s);
  }
}

TEST(load_doubt, a_table_that_fails_for_good_behind_some_rows_ends_the_load_with_a_place_to_resume_at) {
  world w(200, {.concurrency = 2, .retry = {.retry_for = 10s}});
  const upset_server upset{[](int item, std::size_t) { return item > 100; }, w};
  w.serve_batch = [&](const batch& sent) { return upset(sent); };
  w.run();
  EXPECT_EQ(w.stopped, "503 Service Unavailable (db.other): upset");
  EXPECT_EQ(w.result.counts().stored, 100u);
  EXPECT_EQ(w.result.counts().rejected, 0u);
  EXPECT_EQ(w.result.counts().items(), w.result.last_item());
}

// The last batch is bad: what becomes of it, nothing behind it can tell.
TEST(load_doubt, what_is_set_aside_takes_some_megabytes_at_most_and_all_good_items_go_in) {
  for (std::size_t concurrency : {1, 4}) {
    world w(160, {.concurrency = concurrency}, 1ms);
    w.items_a_batch = 50;
    w.padding = std::string(20'000, ' ');
    std::size_t most_waiting = 0;
    const upset_server upset{[](int item, std::size_t) { return (item - 1) / 50 % 4 == 3; }, w};
    w.serve_batch = [&](const batch& sent) {
      most_waiting = std::max(most_waiting, w.filled * w.items_a_batch - w.result.counts().items());
      return upset(sent);
    };
    w.run();
    EXPECT_EQ(w.result.counts().stored, 6'000u);
    EXPECT_EQ(w.result.counts().items(), 8'000u);
    EXPECT_LT(most_waiting, 1'400u);  // 50 take a megabyte
  }
}

}  // namespace
}  // namespace penstock::app::load
