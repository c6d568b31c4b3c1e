#include "failing_case.h"
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/on_worker.h>
#include <penstock/async/task_group.h>
#include <penstock/async/yield.h>
#include <penstock/db/pool.h>
#include <penstock/net/listener.h>
#include <penstock/testing/database.h>
#include <penstock/testing/ledger.h>
#include <penstock/testing/simulation.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::testing {
namespace {

task<void> sleeps_long() { co_await sleep_for(1h); }

std::string here(int line) { return std::string(__FILE__) + ":" + std::to_string(line); }

TEST(leaks, a_test_without_any_passes) {
  EXPECT_EQ(failures_of_test([]() -> task<> {
              ledger_entry open("connection", "db");
              task_group group;
              group.start_background(sleeps_long(), "flusher");
              co_await sleep_for(1s);
              co_await group.join();
            }),
            "");
}

TEST(leaks, a_group_that_was_not_joined_leaves_tasks_that_are_named_with_where_they_were_started) {
  int line = 0;
  std::string text = failures_of_test([&]() -> task<> {
    task_group group;
    line = __LINE__ + 1;
    group.start(sleeps_long(), "flusher");
    co_await sleep_for(1s);
  });
  EXPECT_TRUE(contains(text, "left open at the end of the test:\n  task #2 'flusher', started at " + here(line)));
  EXPECT_TRUE(contains(text, "was destroyed before it had ended, when it waited for a timer since 0\n      at"));
  EXPECT_TRUE(contains(text, "sleeps_long"));
}

TEST(leaks, tasks_of_a_gather_that_is_left_are_named_by_it) {
  auto both = []() -> task<> {
    task<void> first = sleeps_long();
    task<void> second = sleeps_long();
    co_await gather(std::move(first), std::move(second));
  };
  std::string text = failures_of_test([&]() -> task<> {
    task_group group;
    group.start(both(), "both");
    co_await sleep_for(1s);
  });
  EXPECT_TRUE(contains(text, "'gather, task 1', started at "));
  EXPECT_TRUE(contains(text, "'gather, task 2', started at "));
}

TEST(leaks, an_entry_of_the_ledger_is_named_with_where_it_was_made) {
  std::optional<ledger_entry> left;
  int line = 0;
  std::string text = failures_of_test([&]() -> task<> {
    line = __LINE__ + 1;
    left.emplace("connection", "db", std::source_location::current());
    co_return;
  });
  EXPECT_TRUE(contains(text, "connection 'db' made at " + here(line)));
}

TEST(leaks, a_database_session_is_named_with_where_it_was_opened) {
  std::unique_ptr<db::connection> left;
  int line = 0;
  std::string text = failures_of_test([&]() -> task<> {
    database store;
    line = __LINE__ + 1;
    left = co_await store.server().connect();
  });
  EXPECT_TRUE(contains(text, "#1' made at " + here(line))) << text;
}

TEST(leaks, a_lease_of_a_pool_is_named_with_where_it_was_acquired) {
  db::pool::lease left;
  int line = 0;
  std::string text = failures_of_test([&]() -> task<> {
    db::pool p(db::database("sqlite::memory:"));
    line = __LINE__ + 1;
    left = co_await p.acquire();
  });
  EXPECT_TRUE(contains(text, "lease of a pool made at " + here(line)));
}

TEST(leaks, a_pool_that_was_closed_and_is_kept_is_none) {
  for (bool lease_outlives_close : {false, true}) {
    SCOPED_TRACE(lease_outlives_close);
    std::optional<db::pool> kept;
    db::pool::lease lease;
    std::string text = failures_of_test([&]() -> task<> {
      kept.emplace(db::database("sqlite::memory:"));
      lease = co_await kept->acquire();
      if (!lease_outlives_close) lease.release();
      task_group closing;
      closing.start(kept->close());
      co_await settle();
      lease.release();
      co_await closing.join();
    });
    EXPECT_EQ(text, "");
  }
}

struct forgotten_timer : timer {
  explicit forgotten_timer(std::source_location where = std::source_location::current())
      : timer([](timer&) noexcept {}, where) {}
};

TEST(leaks, a_timer_that_is_still_armed_is_named_with_where_it_was_made) {
  std::optional<forgotten_timer> left;
  int line = 0;
  std::string text = failures_of_test([&]() -> task<> {
    line = __LINE__ + 1;
    left.emplace(std::source_location::current());
    scheduler::current().add_timer(*left, scheduler::current().now() + 5s);
    co_return;
  });
  EXPECT_TRUE(contains(text, "timer made at " + here(line)));
  EXPECT_TRUE(contains(text, "due 5s after the end"));
}

TEST(leaks, what_a_deadlocked_test_leaves_is_not_reported_beside_it) {
  std::string text = failures_of_test([]() -> task<> {
    ledger_entry open("connection", "db");
    event never;
    co_await never.wait();
  });
  EXPECT_TRUE(contains(text, "deadlock"));
  EXPECT_FALSE(contains(text, "left open"));
}

// Outlives its test, and everything else: a task that goes on after the test would show.
struct left_behind {
  left_behind() { all.push_back(this); }
  left_behind(const left_behind&) = delete;
  left_behind& operator=(const left_behind&) = delete;

  task<void> wait_for_event() {
    co_await go.wait();
    went_on = true;
  }
  task<void> wait_for_worker() {
    co_await on_worker([this] {
      worked = true;
      worked.notify_one();
    });
    went_on = true;
  }

  task_group group;
  event go;
  std::atomic<bool> worked = false;
  bool went_on = false;
  static inline std::vector<left_behind*>& all = *new std::vector<left_behind*>;  // never destroyed: no leak to ASan
};

std::string failures_of_real_time_test(lambda_case::part body) {
  return failures_of([&] {
    lambda_case test(std::move(body));
    test_detail::run_in_real_time(test);
  });
}

TEST(leaks, a_task_that_is_ready_at_the_end_is_named_and_does_not_go_on) {
  std::string text = failures_of_test([]() -> task<> {
    auto* left = new left_behind;
    left->group.start(left->wait_for_event(), "waiter");
    co_await sleep_for(1ms);
    left->go.set();
  });
  EXPECT_TRUE(contains(text, "left open at the end of the test:\n  task #2 'waiter', started at "));
  EXPECT_FALSE(left_behind::all.back()->went_on);
}

TEST(leaks, a_task_whose_worker_is_done_at_the_end_is_named_and_does_not_go_on) {
  std::string text = failures_of_real_time_test([]() -> task<> {
    auto* left = new left_behind;
    left->group.start(left->wait_for_worker(), "worker");
    co_await yield();
    left->worked.wait(false);  // and the loop has no turn to hear of it
  });
  EXPECT_TRUE(contains(text, "task #2 'worker', started at "));
  EXPECT_FALSE(left_behind::all.back()->went_on);
}

TEST(leaks, a_listener_and_both_ends_of_a_connection_are_named_with_where_they_were_made) {
  std::unique_ptr<net::listener> listening;
  std::unique_ptr<net::stream> ours, theirs;
  int line = 0;
  std::string at, from;
  std::string text = failures_of([&] {
    auto connects = [&]() -> task<> {
      line = __LINE__ + 1;
      listening = net::listen(net::endpoint::parse("127.0.0.1:0"));
      at = listening->local_endpoint().to_string();
      task<std::unique_ptr<net::stream>> connecting = net::connect(listening->local_endpoint());
      ours = co_await std::move(connecting);
      task<std::unique_ptr<net::stream>> accepting = listening->accept();
      theirs = co_await std::move(accepting);
      from = theirs->remote_address();
    };
    lambda_case test(connects);
    test_detail::run_in_real_time(test);
    listening.reset();
    ours.reset();
    theirs.reset();
  });
  EXPECT_TRUE(contains(text, "listener '" + at + "' made at " + here(line)));
  EXPECT_TRUE(contains(text, "connection '" + at + "' made at " + here(line + 2)));
  EXPECT_TRUE(contains(text, "connection '" + from + "' made at " + here(line)));
}

TEST(leaks, what_is_closed_is_not_among_them) {
  std::unique_ptr<net::listener> listening;
  std::unique_ptr<net::stream> ours;
  EXPECT_EQ(failures_of([&] {
              auto connects = [&]() -> task<> {
                listening = net::listen(net::endpoint::parse("127.0.0.1:0"));
                task<std::unique_ptr<net::stream>> connecting = net::connect(listening->local_endpoint());
                ours = co_await std::move(connecting);
                ours->close();
                listening->close();
              };
              lambda_case test(connects);
              test_detail::run_in_real_time(test);
              listening.reset();
              ours.reset();
            }),
            "");
}

// Has a task on the loop in a member, which ends with the test's object.
class forgetful_case final : public test_detail::async_case {
 public:
  task<void> penstock_set_up() override { co_return; }
  task<void> penstock_body() override {
    group_.emplace();
    group_->start(sleeps_long(), "sleeper");
    co_await yield();
  }
  task<void> penstock_tear_down() override { co_return; }
  test_options penstock_options() override { return {}; }
  void penstock_plain_set_up() override {}
  void penstock_plain_tear_down() override {}

 private:
  std::optional<task_group> group_;
};

TEST(leaks, a_task_in_a_member_of_a_real_time_fixture_is_destroyed_before_its_loop) {
  std::string text = failures_of([&] {
    forgetful_case test;
    test_detail::run_in_real_time(test);
  });
  EXPECT_TRUE(contains(text, "task #2 'sleeper', started at "));
}

}  // namespace
}  // namespace penstock::testing
