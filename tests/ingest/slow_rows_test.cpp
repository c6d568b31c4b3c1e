// The database takes long with a row, or for ever, or ends the session that brings it, though it answers others.

#include "ingest/slowness.h"
#include "rows_fixture.h"

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

class slow_rows : public rows_test {
 protected:
  slow_rows() { options_.commits.attempt_timeout = 10s; }

  static task<item_result> process_one(processor& p, std::string item) {
    task<batch_result> processing = p.process({std::move(item)});
    batch_result result = co_await std::move(processing);
    co_return result.items.at(0);
  }
  static duration since(time_point start) { return scheduler::current().now() - start; }

  // How long an item takes that comes alone and ends so.
  static task<duration> time_of(processor& p, std::string item, item_status expected) {
    time_point start = scheduler::current().now();
    task<item_result> processing = process_one(p, std::move(item));
    EXPECT_EQ((co_await std::move(processing)).status, expected);
    co_return since(start);
  }

  // Finds one that takes for ever, in a batch of twenty.
  task<void> find_slow(processor& p) {
    server_->slow_rows["\"endless\""] = 10h;
    std::vector<std::string> items = numbers(19);
    items.push_back("\"endless\"");
    task<std::vector<item_status>> processing = process(p, std::move(items), false);
    std::vector<item_status> ends = co_await std::move(processing);
    EXPECT_EQ(std::count(ends.begin(), ends.end(), item_status::stored), 19);
  }
};

TEST_F(slow_rows, fail_alone_in_a_large_batch_after_many_small_ones) {
  server_->latency = 20ms;
  server_->slow_rows = {{"700", 10h}};
  run([&](processor& p) -> task<void> {
    for (int n = 0; n < 100; ++n) {
      task<item_result> processing = process_one(p, "\"small\"");
      EXPECT_EQ((co_await std::move(processing)).status, item_status::stored);
    }
    time_point start = scheduler::current().now();
    task<std::vector<item_status>> processing = process(p, numbers(2'000), false);
    std::vector<item_status> ends = co_await std::move(processing);
    EXPECT_EQ(std::count(ends.begin(), ends.end(), item_status::stored), 1'999);
    EXPECT_EQ(ends.at(700), item_status::failed);
    EXPECT_LT(since(start), 10s + 5s + 1s);  // the attempt, the division, and the part that ends it
  });
}

TEST_F(slow_rows, that_are_not_endless_are_stored_again_a_minute_later) {
  server_->slow_rows["\"slow\""] = 3s;
  run([&](processor& p) -> task<void> {
    task<void> finding = find_slow(p);
    co_await std::move(finding);
    time_point start = scheduler::current().now();
    bool was_refused = false;
    while (since(start) < 2min) {
      std::vector<std::string> items = {"\"slow\"", "1", "2"};
      task<std::vector<item_status>> processing = process(p, std::move(items), true);
      std::vector<item_status> ends = co_await std::move(processing);
      if (ends.at(0) == item_status::stored) break;
      was_refused = true;
      co_await sleep_for(5s);
    }
    EXPECT_TRUE(was_refused);
    EXPECT_LT(since(start), 75s);
  });
}

TEST_F(slow_rows, make_no_item_fail_that_meets_a_database_that_stands_still_for_a_moment) {
  run([&](processor& p) -> task<void> {
    task<void> finding = find_slow(p);
    co_await std::move(finding);
    const time_point end = scheduler::current().now() + 2600ms;
    server_->pause = [end](const std::string&) { return std::max<duration>(1ms, end - scheduler::current().now()); };
    task<item_result> processing = process_one(p, "\"good\"");
    EXPECT_EQ((co_await std::move(processing)).status, item_status::stored);
  });
}

TEST_F(slow_rows, that_end_the_session_are_told_so_when_they_come_alone) {
  run([&](processor& p) -> task<void> {
    server_->cuts = [](std::size_t, const std::string& what) {
      return what == "ROWS processed_data" ? std::optional(cut::before) : std::nullopt;
    };
    server_->armed = true;
    time_point start = scheduler::current().now();
    task<item_result> processing = process_one(p, "\"ending\"");
    EXPECT_EQ((co_await std::move(processing)).status, item_status::failed);
    EXPECT_LT(since(start), 12s);
    server_->armed = false;
  });
  std::string log = logged_.text();
  EXPECT_NE(log.find("ended a session each time"), std::string::npos) << log;
}

TEST_F(slow_rows, that_come_alone_are_remembered_once_another_goes_in) {
  server_->slow_rows["\"endless\""] = 10h;
  run([&](processor& p) -> task<void> {
    task<duration> first = time_of(p, "\"endless\"", item_status::failed);
    EXPECT_GE(co_await std::move(first), 10s);
    task<duration> other = time_of(p, "\"good\"", item_status::stored);
    EXPECT_LT(co_await std::move(other), 1s);
    task<duration> second = time_of(p, "\"endless\"", item_status::failed);
    EXPECT_LT(co_await std::move(second), 5s);
  });
}

TEST_F(slow_rows, are_none_where_sessions_end_for_a_while) {
  run([&](processor& p) -> task<void> {
    const time_point end = scheduler::current().now() + 5s;
    server_->cuts = [end](std::size_t, const std::string& what) {
      bool is_lost = what == "ROWS processed_data" && scheduler::current().now() < end;
      return is_lost ? std::optional(cut::before) : std::nullopt;
    };
    server_->armed = true;
    task<item_result> processing = process_one(p, "\"good\"");
    EXPECT_EQ((co_await std::move(processing)).status, item_status::stored);
  });
}

TEST_F(slow_rows, that_there_was_no_time_to_look_for_do_not_count_as_locked) {
  for (const std::string& item : numbers(10)) server_->slow_rows[item + "0"] = 10h;
  run([&](processor& p) -> task<void> {
    task<std::vector<item_status>> processing = process(p, numbers(100), false);
    std::vector<item_status> ends = co_await std::move(processing);
    EXPECT_GT(std::count(ends.begin(), ends.end(), item_status::failed), 10);
  });
  std::string metrics = registry_.render();
  EXPECT_NE(metrics.find("penstock_rows_set_apart_total{stream=\"items\"} 0"), std::string::npos) << metrics;
  EXPECT_EQ(logged_.text().find("items wait for a lock"), std::string::npos) << logged_.text();
}

// As by a proxy, or a job that ends what runs for long.
TEST_F(slow_rows, that_have_their_sessions_ended_fail_alone) {
  options_.commits.attempt_timeout = 30s;
  server_->slow_rows["\"slow\""] = 10h;
  for (duration most : {duration(1s), duration(2s), duration(3s), duration(5s), duration(12s)}) {
    server_->longest_statement = most;
    for (int turn = 0; turn < 5; ++turn) {
      run([&](processor& p) -> task<void> {
        std::vector<std::string> items = numbers(40);
        items.at(17) = "\"slow\"";
        for (int time = 0; time < 2; ++time) {
          time_point start = scheduler::current().now();
          task<std::vector<item_status>> processing = process(p, items, true);
          std::vector<item_status> ends = co_await std::move(processing);
          EXPECT_EQ(std::count(ends.begin(), ends.end(), item_status::stored), 39) << most / 1s;
          EXPECT_EQ(ends.at(17), item_status::failed);
          // Ten seconds of tries with the last of them, and the division.
          EXPECT_LT(since(start), time == 0 ? 10s + most + 5s : 8s) << most / 1s;
        }
      });
    }
  }
}

TEST_F(slow_rows, are_none_where_all_have_their_sessions_ended_for_a_while) {
  for (duration lasts : {duration(8s), duration(11s), duration(14s)}) {
    for (bool singly : {true, false}) {
      server_->stored.clear();
      run([&](processor& p) -> task<void> {
        const time_point end = scheduler::current().now() + lasts;
        auto is_bad = [end] { return scheduler::current().now() < end; };
        server_->pause = [is_bad](const std::string& what) {
          return what == "ROWS processed_data" && is_bad() ? duration(3s) : duration(1ms);
        };
        server_->cuts = [is_bad](std::size_t, const std::string& what) {
          return what == "ROWS processed_data" && is_bad() ? std::optional(cut::before) : std::nullopt;
        };
        server_->armed = true;
        task<std::vector<item_status>> processing = process(p, numbers(20), singly);
        check(co_await std::move(processing));
      });
      server_->pause = nullptr;
      server_->armed = false;
    }
  }
}

// As one whose client's network is gone, where nothing ends idle transactions.
TEST_F(slow_rows, of_sessions_that_the_server_keeps_for_long_keep_no_others_out) {
  options_.commits.commit_retry = 1s;
  run([&](processor& p) -> task<void> {
    server_->cuts = [](std::size_t, const std::string& what) {
      return what == "ROWS processed_data" ? std::optional(cut::before) : std::nullopt;
    };
    server_->armed = true;
    task<item_result> losing = process_one(p, "\"lost\"");
    EXPECT_EQ((co_await std::move(losing)).status, item_status::failed);
    server_->armed = false;
    for (const auto& [writer, number] : server_->markers) server_->locks[writer] = this;
    co_await sleep_for(61s);
    for (int n = 0; n < 3; ++n) {
      task<item_result> processing = process_one(p, "\"good\"");
      EXPECT_EQ((co_await std::move(processing)).status, item_status::stored) << n;
    }
    server_->locks.clear();
  });
}

TEST_F(slow_rows, that_the_server_can_not_end_are_remembered_also_when_they_come_alone) {
  options_.commits.commits_in_flight = 2;
  server_->slow_rows["\"stubborn\""] = 10h;
  server_->stubborn_rows.insert("\"stubborn\"");
  run([&](processor& p) -> task<void> {
    auto store_meanwhile = [&]() -> task<void> {
      for (int n = 0; n < 30; ++n) {
        co_await sleep_for(1s);
        task<duration> storing = time_of(p, "\"good\"", item_status::stored);
        EXPECT_LT(co_await std::move(storing), 1s);
      }
    };
    task_group others;
    others.start(store_meanwhile());
    task<duration> first = time_of(p, "\"stubborn\"", item_status::failed);
    EXPECT_LT(co_await std::move(first), 25s);  // two tries, and two seconds each to end them
    task<duration> second = time_of(p, "\"stubborn\"", item_status::failed);
    EXPECT_LT(co_await std::move(second), 9s);
    co_await others.join();
  });
}

TEST_F(slow_rows, are_not_told_by_one_that_is_refused_at_once) {
  server_->refused_rows.insert("\"refused\"");
  run([&](processor& p) -> task<void> {
    server_->slow_rows["\"good\""] = 100s;  // as all others: the table stands still
    task<item_result> standing = process_one(p, "\"good\"");
    EXPECT_EQ((co_await std::move(standing)).status, item_status::failed);
    task<item_result> refused = process_one(p, "\"refused\"");
    EXPECT_EQ((co_await std::move(refused)).status, item_status::rejected);
    server_->slow_rows["\"good\""] = 3s;
    task<item_result> slow = process_one(p, "\"good\"");
    EXPECT_EQ((co_await std::move(slow)).status, item_status::stored);
  });
}

TEST_F(slow_rows, are_remembered_for_longer_also_where_one_came_alone_first) {
  options_.commits.attempt_timeout = 30s;
  run([&](processor& p) -> task<void> {
    task<void> finding = find_slow(p);
    co_await std::move(finding);
    co_await sleep_for(61s);
    task<item_result> alone = process_one(p, "\"endless\"");
    EXPECT_EQ((co_await std::move(alone)).status, item_status::failed);
    task<void> finding_again = find_slow(p);
    co_await std::move(finding_again);
    co_await sleep_for(100s);
    time_point start = scheduler::current().now();
    task<item_result> later = process_one(p, "\"endless\"");
    EXPECT_EQ((co_await std::move(later)).status, item_status::failed);
    EXPECT_LT(since(start), 5s);
  });
}

TEST_F(slow_rows, keep_their_place_among_the_items_of_their_request) {
  server_->slow_rows = {{"\"a\"", 1200ms}, {"\"c\"", 1200ms}};
  run([&](processor& p) -> task<void> {
    task<void> finding = find_slow(p);
    co_await std::move(finding);
    std::vector<std::vector<std::string>> requests = {{"\"a\"", "\"b\"", "\"c\"", "\"d\"", "\"e\""},
                                                      {"\"a\"", "\"c\"", "\"d\""},
                                                      {"\"b\"", "\"a\"", "\"d\"", "\"endless\"", "\"e\""}};
    for (std::vector<std::string>& items : requests) {
      server_->stored.clear();
      task<std::vector<item_status>> processing = process(p, items, false);
      std::vector<item_status> ends = co_await std::move(processing);
      std::erase(items, "\"endless\"");
      EXPECT_EQ(server_->stored, items);
    }
  });
}

// Its second batch goes with those of others, without the rows that wait for its first.
TEST_F(slow_rows, are_followed_by_the_rest_of_their_request_once_each_and_in_its_place) {
  options_.commits.commits_in_flight = 3;
  options_.commits.max_rows = 10;
  server_->slow_rows = {{"3", 5s}};
  run([&](processor& p) -> task<void> {
    std::vector<std::string> others;
    for (int n = 100; n < 103; ++n) others.push_back(std::to_string(n));
    time_point start = scheduler::current().now();
    auto processing_others = [&]() -> task<void> {
      task<std::vector<item_status>> processing = process(p, others, true);
      std::vector<item_status> ends = co_await std::move(processing);
      EXPECT_EQ(std::count(ends.begin(), ends.end(), item_status::stored), 3);
      EXPECT_LT(since(start), 3s);
    };
    auto both = gather(process(p, numbers(15), false), processing_others());
    auto [ends, nothing] = co_await std::move(both);
    check(ends);
    EXPECT_GT(since(start), 5s);
  });
  std::vector<std::string> in_order = {"100", "101", "102"};
  for (const std::string& item : numbers(15)) in_order.push_back(item);
  EXPECT_EQ(server_->stored, in_order);
}

TEST_F(slow_rows, leave_time_to_store_the_items_of_their_request_behind_them) {
  for (const std::string& item : numbers(5)) server_->slow_rows["-1" + item] = 10h;
  run([&](processor& p) -> task<void> {
    task<void> finding = find_slow(p);
    co_await std::move(finding);
    time_point start = scheduler::current().now();
    std::vector<std::string> items;
    for (const std::string& item : numbers(50)) items.push_back((items.size() < 5 ? "-1" : "") + item);
    task<std::vector<item_status>> processing = process(p, std::move(items), false);
    std::vector<item_status> ends = co_await std::move(processing);
    EXPECT_EQ(std::count(ends.begin(), ends.end(), item_status::stored), 45);
    EXPECT_LT(since(start), 16s);
  });
}

TEST_F(slow_rows, tell_in_whole_milliseconds_how_long_the_database_did_not_answer) {
  server_->slow_rows["\"stubborn\""] = 10h;
  server_->stubborn_rows.insert("\"stubborn\"");
  server_->pause = [](const std::string& what) { return what == "ROWS processed_data" ? 200000001ns : 1000000ns; };
  run([&](processor& p) -> task<void> {
    task<duration> teaching = time_of(p, "\"good\"", item_status::stored);
    co_await std::move(teaching);
    task<void> finding = find_slow(p);
    co_await std::move(finding);
    task<item_result> processing = process_one(p, "\"stubborn\"");
    EXPECT_EQ((co_await std::move(processing)).status, item_status::failed);
  });
  std::string log = logged_.text();
  EXPECT_NE(log.find("did not answer within"), std::string::npos) << log;
  EXPECT_EQ(log.find("ns, and its session was closed"), std::string::npos) << log;
}

TEST(slowness, is_remembered_for_longer_while_it_lasts) {
  penstock::testing::simulation sim;
  auto main = []() -> task<void> {
    slowness some;
    EXPECT_FALSE(some.is_remembered());
    auto memory = [&]() -> task<duration> {
      some.found(scheduler::current().now());
      time_point start = scheduler::current().now();
      while (some.is_remembered()) co_await sleep_for(1s);
      co_return scheduler::current().now() - start;
    };
    for (duration expected : {1min, 2min, 4min, 8min, 16min, 16min}) {
      task<duration> remembering = memory();
      EXPECT_EQ(co_await std::move(remembering), expected);
    }
    co_await sleep_for(20min);
    task<duration> remembering = memory();
    EXPECT_EQ(co_await std::move(remembering), duration(1min));
  };
  sim.run(main());
}

}  // namespace
}  // namespace penstock::ingest
