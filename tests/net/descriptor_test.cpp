#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/net/descriptor.h>
#include <penstock/net/event_loop.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock::net {
namespace {

using namespace std::chrono_literals;

struct descriptor_pair {
  descriptor_pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0); }
  descriptor_pair(const descriptor_pair&) = delete;
  descriptor_pair& operator=(const descriptor_pair&) = delete;
  ~descriptor_pair() {
    for (int end : ends)
      if (end >= 0) ::close(end);
  }
  std::array<int, 2> ends{};
};

TEST(descriptor_watch, waits_until_there_is_something_to_read_and_sees_it_again_when_it_is_left) {
  auto body = []() -> task<> {
    descriptor_pair pair;
    descriptor_watch watch(pair.ends[0]);
    co_await with_task_group([&](task_group& group) -> task<> {
      group.start([](descriptor_watch& w) -> task<> {
        for (int i = 0; i < 3; ++i) {
          readiness ready = co_await w.wait(readiness::readable);
          EXPECT_EQ(ready, readiness::readable);
        }
      }(watch));
      for (int i = 0; i < 3; ++i) co_await yield();
      EXPECT_EQ(::write(pair.ends[1], "x", 1), 1);
    });
  };
  run(body());
}

TEST(descriptor_watch, says_at_once_that_a_fresh_socket_can_be_written) {
  auto body = []() -> task<> {
    descriptor_pair pair;
    descriptor_watch watch(pair.ends[0]);
    readiness ready = co_await watch.wait(readiness::readable | readiness::writable);
    EXPECT_TRUE(includes(ready, readiness::writable));
  };
  run(body());
}

TEST(descriptor_watch, takes_the_end_of_the_connection_for_readable) {
  auto body = []() -> task<> {
    descriptor_pair pair;
    descriptor_watch watch(pair.ends[0]);
    ::close(std::exchange(pair.ends[1], -1));
    readiness ready = co_await watch.wait(readiness::readable);
    EXPECT_EQ(ready, readiness::readable);
  };
  run(body());
}

TEST(descriptor_watch, can_be_cancelled_and_used_again) {
  auto body = []() -> task<> {
    descriptor_pair pair;
    descriptor_watch watch(pair.ends[0]);
    bool late = false;
    try {
      co_await with_timeout(1ms, watch.wait(readiness::readable));
    } catch (const timed_out&) {
      late = true;
    }
    EXPECT_TRUE(late);
    EXPECT_EQ(::write(pair.ends[1], "x", 1), 1);
    readiness ready = co_await watch.wait(readiness::readable);
    EXPECT_EQ(ready, readiness::readable);
  };
  run(body());
}

TEST(descriptor_watch, outlives_its_descriptor_whose_number_may_go_to_another) {
  auto body = []() -> task<> {
    descriptor_pair first;
    std::optional<descriptor_watch> watch(std::in_place, first.ends[0]);
    int number = std::exchange(first.ends[0], -1);
    ::close(number);
    descriptor_pair second;
    EXPECT_EQ(second.ends[0], number);
    descriptor_watch other(second.ends[0]);
    EXPECT_EQ(::write(first.ends[1], "x", 1), 1);
    readiness ready = co_await watch->wait(readiness::readable);
    EXPECT_EQ(ready, readiness::readable);
    watch.reset();
    char left = 0;
    EXPECT_EQ(::read(first.ends[1], &left, 1), -1);
    EXPECT_EQ(errno, ECONNRESET) << "the connection ended with the watch, and what it had not read with it";
    EXPECT_EQ(::write(second.ends[1], "y", 1), 1);
    ready = co_await other.wait(readiness::readable);
    EXPECT_EQ(ready, readiness::readable);
  };
  run(body());
}

}  // namespace
}  // namespace penstock::net
