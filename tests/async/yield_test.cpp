#include "virtual_time.h"
#include <penstock/async/cancel.h>
#include <penstock/async/gather.h>
#include <penstock/async/yield.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

TEST(yield, lets_every_other_ready_task_run_first) {
  std::string log;
  struct note : work_item {
    explicit note(std::string& l) : work_item(&run), log(l) {}
    static void run(work_item& w) noexcept { static_cast<note&>(w).log += "other "; }
    std::string& log;
  };
  in_virtual_time([&]() -> task<> {
    note one(log);
    note two(log);
    scheduler::current().post(one);
    scheduler::current().post(two);
    co_await yield();
    log += "this";
  }());
  EXPECT_EQ(log, "other other this");
}

TEST(yield, a_cancel_meanwhile_is_thrown_there) {
  in_virtual_time([]() -> task<> {
    cancel_scope scope;
    bool went_on = false;
    auto waits = [&]() -> task<> {
      co_await yield();
      went_on = true;
    };
    auto cancel = [&]() -> task<> {
      scope.cancel();
      co_return;
    };
    auto scoped = scope.run(waits());
    auto settled = fails_with(std::move(scoped));
    auto both = gather(std::move(settled), cancel());
    auto [text, none] = co_await std::move(both);
    EXPECT_THAT(text, HasSubstr("async.operation_cancelled"));
    EXPECT_FALSE(went_on);
  }());
}

}  // namespace
}  // namespace penstock
