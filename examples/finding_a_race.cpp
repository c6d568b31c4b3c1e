// A race that most runs do not show, and the seeds that find it. This program fails, and is meant to.

#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/testing/test.h>

#include <gtest/gtest.h>

using namespace penstock;
using namespace std::chrono_literals;

// [account]
class account {
 public:
  explicit account(int balance) : balance_(balance) {}
  task<bool> withdraw(int amount) {
    if (balance_ < amount) co_return false;
    co_await write_to_the_journal();  // and meanwhile somebody else withdraws
    balance_ -= amount;
    co_return true;
  }
  int balance() const { return balance_; }

 private:
  task<void> write_to_the_journal() {
    co_await sleep_for(penstock::testing::simulation::current().random_for("journal").between(0ms, 5ms));
  }
  int balance_;
};
// [account]

// [seeds]
PENSTOCK_TEST_SEEDS(account_test, is_never_overdrawn, 200) {
  account savings(100);
  auto customer = [&](duration comes_after) -> task<> {
    co_await sleep_for(comes_after);
    task<bool> withdrawing = savings.withdraw(70);
    co_await std::move(withdrawing);
  };
  task<void> one = customer(0ms);
  task<void> other = customer(4ms);
  co_await gather(std::move(one), std::move(other));
  CO_ASSERT_GE(savings.balance(), 0);
}
// [seeds]

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
