#include "turns.h"
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/net/error.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>

#include <cerrno>
#include <csignal>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace penstock::net {
namespace {

using namespace std::chrono_literals;

const endpoint any_port = endpoint::parse("127.0.0.1:0");

// The process's own: several may run side by side.
std::string socket_path(const char* name) {
  return ::testing::TempDir() + "penstock_" + name + '_' + std::to_string(::getpid()) + ".sock";
}

TEST(listener, tells_the_port_that_the_system_chose) {
  auto body = []() -> task<> {
    auto at = listen(any_port);
    EXPECT_NE(at->local_endpoint().port(), 0);
    co_return;
  };
  run(body());
}

TEST(listener, a_port_in_use_is_an_error_that_names_the_endpoint) {
  auto body = []() -> task<> {
    auto at = listen(any_port);
    try {
      auto again = listen(at->local_endpoint());
      ADD_FAILURE() << "listened twice";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(net_errc::listen_failed));
      EXPECT_NE(e.message().find(at->local_endpoint().to_string()), std::string::npos);
    }
    co_return;
  };
  run(body());
}

TEST(listener, several_share_a_port_with_reuse_port) {
  auto body = []() -> task<> {
    auto one = listen(any_port, {.reuse_port = true});
    auto two = listen(one->local_endpoint(), {.reuse_port = true});
    int accepted = 0;
    auto serve = [&](listener& at) -> task<> {
      for (;;) {
        auto s = co_await at.accept();
        ++accepted;
      }
    };
    auto body = [&](task_group& group) -> task<> {
      group.start_background(serve(*one));
      group.start_background(serve(*two));
      for (int i = 0; i < 20; ++i) {
        auto s = co_await connect(one->local_endpoint());
        std::byte end[1];
        EXPECT_EQ(co_await s->read_some(end), 0u);
      }
    };
    co_await with_task_group(body);
    EXPECT_EQ(accepted, 20);
  };
  run(body());
}

TEST(listener, a_unix_sockets_file_is_private_and_gone_after_close) {
  auto body = []() -> task<> {
    std::string path = socket_path("private");
    auto at = listen(endpoint::unix_socket(path));
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    at->close();
    EXPECT_NE(::stat(path.c_str(), &status), 0);
    at->close();
    co_return;
  };
  run(body());
}

TEST(listener, a_unix_sockets_file_has_the_mode_asked_for_whatever_the_umask) {
  auto body = []() -> task<> {
    std::string path = socket_path("shared");
    mode_t before = ::umask(077);
    auto at = listen(endpoint::unix_socket(path), {.mode = 0660});
    ::umask(before);
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0660u);
    co_return;
  };
  run(body());
}

TEST(listener, leaves_the_file_of_a_socket_that_took_its_name) {
  auto body = []() -> task<> {
    endpoint where = endpoint::unix_socket(socket_path("successor"));
    auto old = listen(where);
    ::unlink(where.path().c_str());
    auto successor = listen(where);
    old->close();
    auto reached = co_await connect(where);
    successor->close();
    EXPECT_NE(::access(where.path().c_str(), F_OK), 0);
  };
  run(body());
}

TEST(listener, replaces_a_stale_socket_file_but_not_a_live_one_nor_a_plain_file) {
  auto body = []() -> task<> {
    endpoint where = endpoint::unix_socket(socket_path("stale"));
    int crashed = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    where.path().copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(crashed, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ::close(crashed);
    auto at = listen(where);
    EXPECT_THROW(listen(where), error);
    auto alive = co_await connect(where);
    at->close();

    int plain = ::open(where.path().c_str(), O_CREAT | O_WRONLY, 0600);
    EXPECT_GE(plain, 0);
    ::close(plain);
    EXPECT_THROW(listen(where), error);
    EXPECT_EQ(::access(where.path().c_str(), F_OK), 0);
    ::unlink(where.path().c_str());
  };
  run(body());
}

TEST(listener, a_socket_file_of_one_who_accepts_nothing_is_in_use) {
  endpoint where = endpoint::unix_socket(socket_path("full"));
  ::unlink(where.path().c_str());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  where.path().copy(address.sun_path, sizeof(address.sun_path) - 1);
  auto* name = reinterpret_cast<sockaddr*>(&address);
  int busy = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(busy, name, sizeof(address)), 0);
  ASSERT_EQ(::listen(busy, 1), 0);
  std::vector<int> waiting;
  do waiting.push_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
  while (::connect(waiting.back(), name, sizeof(address)) == 0);
  EXPECT_EQ(errno, EAGAIN);
  // A connect that blocks would end with this alarm's signal at the latest, as one that was interrupted.
  ::alarm(5);
  struct sigaction before {};
  struct sigaction late {};
  static volatile std::sig_atomic_t blocked = 0;
  late.sa_handler = [](int) { blocked = 1; };
  ::sigaction(SIGALRM, &late, &before);
  auto body = [&]() -> task<> {
    EXPECT_THROW(listen(where), error);
    co_return;
  };
  run(body());
  ::alarm(0);
  ::sigaction(SIGALRM, &before, nullptr);
  EXPECT_EQ(blocked, 0);
  EXPECT_EQ(::access(where.path().c_str(), F_OK), 0);
  for (int s : waiting) ::close(s);
  ::close(busy);
  ::unlink(where.path().c_str());
}

TEST(listener, who_waits_already_is_accepted_without_a_turn_of_the_loop) {
  auto body = []() -> task<> {
    constexpr int waiting = 20;
    auto at = listen(any_port);
    std::vector<std::unique_ptr<stream>> clients;
    for (int i = 0; i < waiting; ++i) clients.push_back(co_await connect(at->local_endpoint()));
    bool done = false;
    int turns = 0;
    auto accepting = [&]() -> task<> {
      std::vector<std::unique_ptr<stream>> accepted;
      int before = turns;
      for (int i = 0; i < waiting; ++i) accepted.push_back(co_await at->accept());
      EXPECT_EQ(turns, before);
      done = true;
    };
    co_await gather(count_turns(turns, done), accepting());
  };
  run(body());
}

TEST(listener, those_who_were_accepted_have_a_turn_beside_many_who_wait) {
  auto body = []() -> task<> {
    constexpr int waiting = 100;
    auto at = listen(any_port);
    std::vector<std::unique_ptr<stream>> clients;
    for (int i = 0; i < waiting; ++i) clients.push_back(co_await connect(at->local_endpoint()));
    int served = 0;
    auto serving = [&]() -> task<> {
      ++served;
      co_return;
    };
    co_await with_task_group([&](task_group& group) -> task<> {
      for (int i = 0; i < waiting; ++i) {
        auto accepted = co_await at->accept();
        group.start(serving());
      }
      EXPECT_GT(served, 0);
    });
  };
  run(body());
}

TEST(listener, a_cancelled_accept_loses_no_connection) {
  auto body = []() -> task<> {
    auto at = listen(any_port);
    for (int turns = 0; turns < 8; ++turns) {
      auto client = co_await connect(at->local_endpoint());
      std::unique_ptr<stream> accepted;
      auto accept = [&]() -> task<> { accepted = co_await at->accept(); };
      bool cancelled = co_await cancelled_after_turns(turns, accept());
      EXPECT_EQ(cancelled, accepted == nullptr);
      if (cancelled) co_await accept();
      co_await client->write(bytes_of("x"));
      std::byte one[1];
      EXPECT_EQ(co_await accepted->read_some(one), 1u);
    }
  };
  run(body());
}

TEST(listener, an_accept_that_is_destroyed_while_its_connection_comes_is_harmless) {
  auto body = []() -> task<> {
    auto at = listen(any_port);
    for (int turns = 0; turns < 4; ++turns) {
      auto client = co_await connect(at->local_endpoint());
      {
        task_group group;
        auto accept = [](listener& from) -> task<> { co_await from.accept(); };
        group.start(accept(*at));
        for (int i = 0; i < turns; ++i) co_await yield();
      }
      for (int i = 0; i < 4; ++i) co_await yield();
    }
    auto client = co_await connect(at->local_endpoint());
    auto accepted = co_await at->accept();
    EXPECT_NE(accepted, nullptr);
  };
  run(body());
}

TEST(listener, a_peer_that_left_before_it_was_accepted_ends_nothing) {
  auto body = []() -> task<> {
    auto at = listen(any_port);
    {
      auto gone = co_await connect(at->local_endpoint());
      gone->reset();
    }
    auto client = co_await connect(at->local_endpoint());
    co_await client->write(bytes_of("x"));
    for (std::size_t n = 0; n == 0;) {
      auto accepted = co_await at->accept();
      std::byte one[1];
      try {
        n = co_await accepted->read_some(one);
      } catch (const error& e) {
        EXPECT_TRUE(e.is(net_errc::connection_closed)) << e.message();
      }
    }
  };
  run(body());
}

TEST(listener, closing_ends_an_accept_under_way) {
  auto body = []() -> task<> {
    auto at = listen(any_port);
    auto close_it = [&]() -> task<> {
      co_await yield();
      at->close();
    };
    auto [accepted, closed] = co_await gather_settled(at->accept(), close_it());
    const error* e = accepted.error_as<error>();
    EXPECT_TRUE(e != nullptr && e->is(net_errc::connection_closed));
    auto again = at->accept();
    EXPECT_THROW(co_await std::move(again), error);
  };
  run(body());
}

// Leaves the process without a free descriptor while it lives.
class no_descriptors {
 public:
  no_descriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    int next = ::dup(0);
    ::close(next);
    rlimit now = before_;
    now.rlim_cur = static_cast<rlim_t>(next);
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  ~no_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST(listener, waits_without_spinning_when_descriptors_run_out_and_then_goes_on) {
  auto body = []() -> task<> {
    auto at = listen(any_port);
    auto client = co_await connect(at->local_endpoint());
    auto accept = [&]() -> task<> {
      auto s = co_await at->accept();
      co_await s->write(bytes_of("x"));
    };
    auto server = accept();
    std::optional<no_descriptors> shortage(std::in_place);
    auto release = [&]() -> task<> {
      std::clock_t before = std::clock();
      co_await sleep_for(60ms);
      EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 25);
      shortage.reset();
      std::byte one[1];
      EXPECT_EQ(co_await client->read_some(one), 1u);
    };
    co_await gather(std::move(server), release());
  };
  run(body());
}

}  // namespace
}  // namespace penstock::net
