// Testing what takes time: a test that slept became one that can't be flaky.

#include <penstock/async/event.h>
#include <penstock/async/semaphore.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/db/pool.h>
#include <penstock/testing/database.h>
#include <penstock/testing/enumeration.h>
#include <penstock/testing/test.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

using namespace penstock;
using namespace std::chrono_literals;

// [mailbox]
// Delivers letters together: once three wait, or five seconds after the first.
class mailbox {
 public:
  task<void> run() {
    for (;;) {
      co_await first_.wait();
      auto full = with_timeout(5s, wait_until_full());
      try {
        co_await std::move(full);
      } catch (const timed_out&) {
      }
      delivered_ += waiting_;
      waiting_ = 0;
      first_.clear();
      full_.clear();
    }
  }
  void post() {
    first_.set();
    if (++waiting_ == 3) full_.set();
  }
  int delivered() const { return delivered_; }

 private:
  task<void> wait_until_full() { co_await full_.wait(); }

  event first_, full_;
  int waiting_ = 0, delivered_ = 0;
};
// [mailbox]

// [virtual_time]
PENSTOCK_TEST(mailbox_test, delivers_five_seconds_after_the_first_letter) {
  mailbox box;
  co_await with_task_group([&](task_group& group) -> task<> {
    group.start_background(box.run(), "mailbox");
    box.post();
    co_await sleep_for(4'999ms);  // takes no time at all
    EXPECT_EQ(box.delivered(), 0);
    co_await sleep_for(1ms);
    co_await penstock::testing::settle();  // everything that can happen by now has happened
    CO_ASSERT_EQ(box.delivered(), 1);
  });
}
// [virtual_time]

// [database]
PENSTOCK_TEST(simulated_database, a_pool_survives_a_restart) {
  penstock::testing::database store;
  db::pool sessions(store.server());
  store.restart(2s);  // every session is gone, and connects are refused for two seconds
  {
    auto acquiring = sessions.acquire();
    db::pool::lease session = co_await std::move(acquiring);
    co_await session->execute("CREATE TABLE letter (address TEXT)");
  }
  EXPECT_EQ(store.count("SELECT count(*) FROM letter"), 0);
  co_await sessions.close();
}
// [database]

// [enumeration]
TEST(every_failure, leaves_nothing_half_done) {
  penstock::testing::for_each_failure([]() -> task<> {  // once for each statement of it that may fail
    penstock::testing::database store;
    std::unique_ptr<db::connection> session = co_await store.server().connect();
    co_await session->execute("CREATE TABLE letter (address TEXT)");
  });
  penstock::testing::assert_cancel_safe(
      [](penstock::testing::cancellation& c) -> task<> {  // once for each point where it waits
        semaphore stamps(1);
        auto use = [&]() -> task<> {
          auto stamp = co_await stamps.acquire();
          co_await sleep_for(1s);
        };
        task<bool> using_it = c.run(use());
        co_await std::move(using_it);
        EXPECT_EQ(stamps.available(), 1u);
      });
}
// [enumeration]

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
