#include <penstock/async/error.h>
#include <penstock/net/asio.h>
#include <penstock/net/descriptor.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/net/signals.h>
#include <penstock/net/stream.h>

#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

// What a service keeps in members is destroyed when its loop has ended. Before, each of these ended in memory that was
// freed: the process crashed, or hung, or only AddressSanitizer noticed.

namespace penstock::net {
namespace {

// What an object of the user's holds when `run` has returned.
struct kept {
  std::unique_ptr<listener> waiting;
  std::unique_ptr<stream> near;
  std::unique_ptr<stream> far;
  std::optional<descriptor_watch> watch;
  std::optional<signal_set> signals;
  std::array<int, 2> pair{-1, -1};

  kept() = default;
  kept(const kept&) = delete;
  kept& operator=(const kept&) = delete;
  ~kept() {
    for (int end : pair)
      if (end >= 0) ::close(end);
  }

  task<> make() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()), 0);
    watch.emplace(pair[0]);
    signals.emplace({SIGUSR1});
    waiting = listen(endpoint::parse("127.0.0.1:0"));
    auto connecting = connect(waiting->local_endpoint());
    near = co_await std::move(connecting);
    auto accepting = waiting->accept();
    far = co_await std::move(accepting);
    // Each has waited, so that it is registered with the loop.
    co_await far->write(bytes_of("x"));
    std::array<std::byte, 1> byte{};
    co_await near->read_some(byte);
    co_await watch->wait(readiness::writable);
  }
};

// Takes the memory that the loop has left.
void overwrite_what_is_free() {
  std::vector<std::string> reused;
  for (std::size_t i = 0; i < 2'000; ++i) reused.emplace_back(50 + i % 700, '\x02');
}

template <class T>
bool is_refused(task<T> what) {
  try {
    run(std::move(what));
  } catch (const error& e) {
    EXPECT_NE(e.message().find("event loop that has ended"), std::string::npos) << e.message();
    return e.is(async_errc::wrong_scheduler);
  }
  return false;
}

TEST(after_the_loop, what_was_made_on_it_is_destroyed) {
  kept members;
  run(members.make());
  overwrite_what_is_free();
  members.waiting.reset();
  members.near.reset();
  members.far.reset();
  members.watch.reset();
  members.signals.reset();
}

TEST(after_the_loop, what_was_made_on_it_is_closed_once_more) {
  kept members;
  run(members.make());
  overwrite_what_is_free();
  endpoint there = members.waiting->local_endpoint();
  members.waiting->close();
  members.near->reset();
  members.far->close();
  auto connect_again = [](endpoint where) -> task<bool> {
    try {
      auto connecting = connect(where);
      co_await std::move(connecting);
    } catch (const error&) {
      co_return true;
    }
    co_return false;
  };
  EXPECT_TRUE(run(connect_again(there))) << "nobody listens there any more";
}

TEST(after_the_loop, what_was_made_on_it_is_refused_by_the_next_one) {
  kept members;
  run(members.make());
  EXPECT_TRUE(is_refused(members.waiting->accept()));
  std::array<std::byte, 1> byte{};
  EXPECT_TRUE(is_refused(members.near->read_some(byte)));
  auto watching = [](descriptor_watch& w) -> task<> { co_await w.wait(readiness::readable); };
  EXPECT_TRUE(is_refused(watching(*members.watch)));
  EXPECT_TRUE(is_refused(members.signals->wait()));
}

// A callback that the user has given to Asio, and that owns what was made on the loop, does not keep it for ever.
TEST(after_the_loop, what_a_handler_owns_is_destroyed_with_the_loop) {
  std::weak_ptr<listener> left;
  auto body = [&]() -> task<> {
    std::shared_ptr<listener> owned = listen(endpoint::parse("127.0.0.1:0"));
    left = owned;
    boost::asio::io_context& context = io_context_of(event_loop::current());
    auto timer = std::make_shared<boost::asio::steady_timer>(context, std::chrono::hours(1));
    boost::asio::steady_timer& waited_for = *timer;
    waited_for.async_wait([owned, timer](boost::system::error_code) {});
    co_return;
  };
  run(body());
  EXPECT_TRUE(left.expired());
}

}  // namespace
}  // namespace penstock::net
