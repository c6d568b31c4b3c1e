#include <penstock/async/cancel.h>
#include <penstock/async/error.h>
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/net/descriptor.h>
#include <penstock/net/event_loop.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <netinet/in.h>
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

// As a client library's session that is closed beside what it runs.
TEST(descriptor_watch, may_be_destroyed_beneath_a_wait_which_ends_also_when_it_is_cancelled_in_the_same_turn) {
  auto end_of_wait = [](readiness wanted, bool cancels) -> task<std::string> {
    descriptor_pair pair;
    std::array<char, 4096> some{};
    while (::write(pair.ends[0], some.data(), some.size()) > 0) continue;  // until it takes nothing more
    std::optional<descriptor_watch> watch(std::in_place, pair.ends[0]);
    std::string ended;
    auto waits = [&]() -> task<> {
      try {
        co_await watch->wait(wanted);
      } catch (const error& e) {
        ended = e.code();
        throw;
      }
    };
    cancel_scope scope;
    auto destroys = [&]() -> task<> {
      for (int i = 0; i < 3; ++i) co_await yield();
      watch.reset();
      std::vector<std::string> reused;  // the memory that it has left
      for (std::size_t i = 0; i < 2'000; ++i) reused.emplace_back(20 + i % 400, '\x02');
      if (cancels) scope.cancel("test");
    };
    task<> waiting = scope.run(waits());
    auto both = gather_settled(std::move(waiting), destroys());
    co_await std::move(both);
    co_return ended;
  };
  for (readiness wanted : {readiness::readable, readiness::writable, readiness::readable | readiness::writable}) {
    EXPECT_EQ(run(end_of_wait(wanted, false)), "net.connection_closed");
    EXPECT_EQ(run(end_of_wait(wanted, true)), "async.operation_cancelled");
  }
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

// A TCP connection, of which one end can be made to answer nothing any more.
struct tcp_pair {
  tcp_pair() {
    int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    auto* address = reinterpret_cast<sockaddr*>(&at);
    EXPECT_EQ(::bind(listening, address, size), 0);
    EXPECT_EQ(::listen(listening, 1), 0);
    EXPECT_EQ(::getsockname(listening, address, &size), 0);
    EXPECT_EQ(::connect(near, address, size), 0);
    far = ::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    EXPECT_GE(far, 0);
    ::close(listening);
    EXPECT_EQ(::fcntl(near, F_SETFL, O_NONBLOCK), 0);
  }
  tcp_pair(const tcp_pair&) = delete;
  tcp_pair& operator=(const tcp_pair&) = delete;
  ~tcp_pair() {
    ::close(near);
    ::close(far);
  }

  void fill() const {
    std::array<char, 65'536> some{};
    while (::send(near, some.data(), some.size(), 0) > 0) {
    }
    EXPECT_EQ(errno, EAGAIN);
  }
  void drain() const {
    std::array<char, 65'536> some{};
    while (::recv(far, some.data(), some.size(), 0) > 0) {
    }
  }
  // Its system drops what comes, as when the packets are lost on the way.
  void lose_the_far_end() const {
    sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    sock_fprog program{1, &drop};
    EXPECT_EQ(::setsockopt(far, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
  }

  int near = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int far = -1;
};

// The time that passes in these is the system's: it decides when to ask again.

TEST(descriptor_watch, waits_for_a_peer_that_takes_nothing_more_as_long_as_its_system_answers) {
  auto body = []() -> task<> {
    tcp_pair pair;
    EXPECT_TRUE(limit_silence(pair.near, 1s));
    descriptor_watch watch(pair.near);
    pair.fill();
    bool late = false;
    try {
      co_await with_timeout(4s, watch.wait_while_answered(readiness::writable, 1s));
    } catch (const timed_out&) {
      late = true;
    }
    EXPECT_TRUE(late);
    pair.drain();
    readiness ready = co_await watch.wait_while_answered(readiness::writable, 1s);
    EXPECT_EQ(ready, readiness::writable);
  };
  run(body());
}

TEST(descriptor_watch, gives_up_a_peer_that_vanishes) {
  for (bool is_full : {false, true}) {
    auto body = [is_full]() -> task<> {
      tcp_pair pair;
      EXPECT_TRUE(limit_silence(pair.near, 1s));
      descriptor_watch watch(pair.near);
      if (is_full) pair.fill();
      pair.lose_the_far_end();
      if (!is_full) {
        EXPECT_EQ(::send(pair.near, "x", 1, 0), 1);
      }
      readiness wanted = is_full ? readiness::readable | readiness::writable : readiness::readable;
      readiness ready = co_await with_timeout(20s, watch.wait_while_answered(wanted, 1s));
      EXPECT_EQ(ready, readiness::none) << is_full;
    };
    run(body());
  }
}

TEST(descriptor_watch, needs_no_answers_from_what_is_no_tcp_connection) {
  auto body = []() -> task<> {
    descriptor_pair pair;
    EXPECT_FALSE(limit_silence(pair.ends[0], 1s));
    descriptor_watch watch(pair.ends[0]);
    EXPECT_EQ(::write(pair.ends[1], "x", 1), 1);
    readiness ready = co_await watch.wait_while_answered(readiness::readable, 1s);
    EXPECT_EQ(ready, readiness::readable);
  };
  run(body());
}

}  // namespace
}  // namespace penstock::net
