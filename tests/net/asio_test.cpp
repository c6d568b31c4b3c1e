#include "turns.h"
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/net/asio.h>
#include <penstock/net/error.h>

#include <string>
#include <thread>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>
#include <unistd.h>

namespace penstock::net {
namespace {

using namespace std::chrono_literals;
using local = boost::asio::local::stream_protocol;

struct socket_pair {
  socket_pair() : a(io_context_of(event_loop::current())), b(io_context_of(event_loop::current())) {
    boost::asio::local::connect_pair(a, b);
  }
  local::socket a, b;
};

TEST(use_task, gives_the_result_of_any_operation) {
  auto body = []() -> task<> {
    socket_pair pair;
    std::size_t written = co_await boost::asio::async_write(pair.a, boost::asio::buffer("hello", 5), use_task);
    EXPECT_EQ(written, 5u);
    char text[5];
    std::size_t count = co_await boost::asio::async_read(pair.b, boost::asio::buffer(text), use_task);
    EXPECT_EQ(std::string_view(text, count), "hello");
    boost::asio::steady_timer timer(io_context_of(event_loop::current()), 1ms);
    co_await timer.async_wait(use_task);
    co_await boost::asio::post(io_context_of(event_loop::current()), use_task);
  };
  run(body());
}

TEST(use_task, throws_a_failure_as_an_error_with_the_systems_text) {
  auto body = []() -> task<> {
    socket_pair pair;
    pair.a.close();
    char text[5];
    try {
      co_await boost::asio::async_read(pair.b, boost::asio::buffer(text), use_task);
      ADD_FAILURE() << "read from a closed pair";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(net_errc::connection_closed));
      EXPECT_NE(e.message().find("End of file"), std::string::npos);
    }
  };
  run(body());
}

TEST(use_task_tuple, gives_the_error_code_beside_the_result) {
  auto body = []() -> task<> {
    socket_pair pair;
    co_await boost::asio::async_write(pair.a, boost::asio::buffer("abc", 3), use_task);
    pair.a.close();
    char text[5];
    auto [failure, count] = co_await boost::asio::async_read(pair.b, boost::asio::buffer(text), use_task_tuple);
    EXPECT_EQ(failure, boost::asio::error::eof);
    EXPECT_EQ(count, 3u);
  };
  run(body());
}

TEST(use_task, a_cancelled_operation_can_be_started_again) {
  auto body = []() -> task<> {
    socket_pair pair;
    char text[8];
    auto read = [&]() -> task<std::size_t> {
      co_return co_await pair.b.async_read_some(boost::asio::buffer(text), use_task);
    };
    for (int turns = 0; turns < 5; ++turns) {
      bool cancelled = co_await cancelled_after_turns(turns, read());
      EXPECT_TRUE(cancelled);
    }
    co_await boost::asio::async_write(pair.a, boost::asio::buffer("abc", 3), use_task);
    EXPECT_EQ(co_await read(), 3u);
  };
  run(body());
}

TEST(use_task, a_task_destroyed_in_mid_operation_leaves_nothing_behind) {
  auto body = []() -> task<> {
    socket_pair pair;
    auto read = [&]() -> task<> {
      char text[8];
      co_await pair.b.async_read_some(boost::asio::buffer(text), use_task);
    };
    {
      task_group group;
      group.start(read());
      co_await yield();
      co_await yield();
    }
    co_await boost::asio::async_write(pair.a, boost::asio::buffer("abc", 3), use_task);
    char text[8];
    EXPECT_EQ(co_await pair.b.async_read_some(boost::asio::buffer(text), use_task), 3u);
  };
  run(body());
}

TEST(use_task, a_timeout_cuts_an_operation_short) {
  auto body = []() -> task<> {
    boost::asio::steady_timer timer(io_context_of(event_loop::current()), 1h);
    auto wait = [&]() -> task<> { co_await timer.async_wait(use_task); };
    auto limited = with_timeout(2ms, wait());
    co_await std::move(limited);
  };
  EXPECT_THROW(run(body()), timed_out);
}

TEST(use_task, an_operation_of_another_contexts_object_comes_back_to_the_loop) {
  // A loop that is not woken can't be told so: the system's alarm ends this program instead.
  ::alarm(20);
  boost::asio::thread_pool elsewhere(1);
  auto body = [&]() -> task<> {
    for (int times = 0; times < 100; ++times) {
      co_await boost::asio::post(elsewhere.get_executor(), use_task);
      boost::asio::steady_timer timer(elsewhere.get_executor(), 100us);
      co_await timer.async_wait(use_task);
    }
  };
  run(body());
  ::alarm(0);
}

TEST(use_task, an_operation_of_another_contexts_object_is_cancelled) {
  boost::asio::thread_pool elsewhere(1);
  boost::asio::steady_timer timer(elsewhere.get_executor(), 1h);
  auto body = [&]() -> task<> {
    auto wait = [&]() -> task<> { co_await timer.async_wait(use_task); };
    auto limited = with_timeout(2ms, wait());
    co_await std::move(limited);
  };
  EXPECT_THROW(run(body()), timed_out);
}

TEST(use_task, an_operation_of_several_steps_of_another_contexts_object_comes_back_to_the_loop) {
  ::alarm(20);
  boost::asio::thread_pool elsewhere(2);
  local::socket a(elsewhere.get_executor());
  local::socket b(elsewhere.get_executor());
  boost::asio::local::connect_pair(a, b);
  std::string sent(4'000'000, 'x');
  std::string got(sent.size(), ' ');
  std::thread::id here = std::this_thread::get_id();
  auto write = [&]() -> task<> { co_await boost::asio::async_write(a, boost::asio::buffer(sent), use_task); };
  auto read = [&]() -> task<> {
    co_await boost::asio::async_read(b, boost::asio::buffer(got), use_task);
    EXPECT_EQ(std::this_thread::get_id(), here);
  };
  auto body = [&]() -> task<> {
    task_group both;
    both.start(write());
    both.start(read());
    task<void> ending = both.join();
    co_await std::move(ending);
  };
  run(body());
  EXPECT_TRUE(got == sent);
  ::alarm(0);
}

// Leaves a wait in a context that does not run.
void leave_a_wait(boost::asio::steady_timer& timer) {
  auto body = [&]() -> task<> {
    auto wait = [&]() -> task<> { co_await timer.async_wait(use_task); };
    task_group group;
    group.start(wait());
    co_await yield();
    co_await yield();
  };
  run(body());
  // Takes the memory that the loop has left.
  std::vector<std::string> reused;
  for (std::size_t i = 0; i < 2'000; ++i) reused.emplace_back(50 + i % 700, '\x02');
}

TEST(use_task, what_another_context_completes_after_the_loop_is_dropped) {
  boost::asio::io_context elsewhere;
  boost::asio::steady_timer timer(elsewhere, 1h);
  leave_a_wait(timer);
  EXPECT_EQ(elsewhere.run(), 1u);
}

TEST(use_task, what_another_context_never_completes_goes_with_it_after_the_loop) {
  boost::asio::io_context elsewhere;
  boost::asio::steady_timer timer(elsewhere, 1h);
  leave_a_wait(timer);
}

}  // namespace
}  // namespace penstock::net
