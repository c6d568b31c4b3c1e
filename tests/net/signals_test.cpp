#include <penstock/async/error.h>
#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/signals.h>

#include <csignal>

#include <gtest/gtest.h>
#include <unistd.h>

namespace penstock::net {
namespace {

using namespace std::chrono_literals;

TEST(signal_set, gives_the_number_of_the_signal) {
  auto body = []() -> task<> {
    signal_set signals{SIGUSR1, SIGUSR2};
    auto raise_it = []() -> task<> {
      ::kill(::getpid(), SIGUSR2);
      co_return;
    };
    auto [number, raised] = co_await gather(signals.wait(), raise_it());
    EXPECT_EQ(number, SIGUSR2);
  };
  run(body());
}

TEST(signal_set, keeps_a_signal_that_came_between_waits) {
  auto body = []() -> task<> {
    signal_set signals{SIGUSR1};
    ::kill(::getpid(), SIGUSR1);
    EXPECT_EQ(co_await signals.wait(), SIGUSR1);
    ::kill(::getpid(), SIGUSR1);
    EXPECT_EQ(co_await signals.wait(), SIGUSR1);
  };
  run(body());
}

TEST(signal_set, can_be_waited_on_again_after_a_cancelled_wait) {
  auto body = []() -> task<> {
    signal_set signals{SIGUSR1};
    auto waiting = with_timeout(1ms, signals.wait());
    try {
      co_await std::move(waiting);
      ADD_FAILURE() << "no signal was sent";
    } catch (const timed_out&) {
    }
    ::kill(::getpid(), SIGUSR1);
    EXPECT_EQ(co_await signals.wait(), SIGUSR1);
  };
  run(body());
}

}  // namespace
}  // namespace penstock::net
