#include "turns.h"
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/net/error.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/net/stream.h>

#include <numeric>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock::net {
namespace {

using namespace std::chrono_literals;

struct stream_pair {
  std::unique_ptr<stream> client, server;
};

task<stream_pair> connected_pair(endpoint where) {
  auto at = listen(where);
  auto client = co_await connect(at->local_endpoint());
  auto server = co_await at->accept();
  co_return stream_pair{std::move(client), std::move(server)};
}

task<> echo(stream& peer) {
  std::byte buffer[1024];
  while (std::size_t n = co_await peer.read_some(buffer)) co_await peer.write(std::span(buffer, n));
  peer.shutdown_send();
}

task<std::string> read_to_end(stream& s) {
  std::string all;
  std::byte buffer[4096];
  while (std::size_t n = co_await s.read_some(buffer)) all.append(reinterpret_cast<char*>(buffer), n);
  co_return all;
}

task<> send_all(stream& s, const std::string& text) {
  co_await s.write(bytes_of(text));
  s.shutdown_send();
}

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += std::to_string(i) + ' ';
  return text;
}

// Both kinds of socket.
class stream_over : public ::testing::TestWithParam<const char*> {
 protected:
  endpoint where() const {
    if (GetParam() == std::string_view("tcp")) return endpoint::parse("127.0.0.1:0");
    return endpoint::unix_socket(::testing::TempDir() + "penstock_stream_" + std::to_string(::getpid()) + ".sock");
  }
};
INSTANTIATE_TEST_SUITE_P(sockets, stream_over, ::testing::Values("tcp", "unix"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(stream_over, echoes_what_is_sent_and_ends_after_a_half_close) {
  auto body = [this]() -> task<> {
    auto [client, server] = co_await connected_pair(where());
    std::string text = numbers(40'000);
    auto all = gather(echo(*server), send_all(*client, text), read_to_end(*client));
    auto [echoed, sent, answer] = co_await std::move(all);
    EXPECT_EQ(answer, text);
  };
  run(body());
}

TEST_P(stream_over, writes_many_buffers_in_order_to_a_slow_reader) {
  auto body = [this]() -> task<> {
    auto [client, server] = co_await connected_pair(where());
    std::vector<std::string> parts;
    std::string expected;
    for (int i = 0; i < 1000; ++i) {
      parts.push_back(i % 7 == 0 ? std::string() : std::string(static_cast<std::size_t>(i) * 11, 'a' + i % 26));
      expected += parts.back();
    }
    std::vector<std::span<const std::byte>> buffers;
    for (const std::string& part : parts) buffers.push_back(bytes_of(part));
    auto write = [&]() -> task<> {
      co_await client->write(buffers);
      client->shutdown_send();
    };
    auto read_slowly = [&]() -> task<std::string> {
      std::string all;
      std::byte buffer[9973];
      for (;;) {
        std::size_t n = co_await server->read_some(buffer);
        if (n == 0) co_return all;
        all.append(reinterpret_cast<char*>(buffer), n);
        co_await yield();
      }
    };
    auto [written, read] = co_await gather(write(), read_slowly());
    EXPECT_TRUE(read == expected);
  };
  run(body());
}

TEST_P(stream_over, a_cancelled_read_takes_no_byte) {
  auto body = [this]() -> task<> {
    auto [client, server] = co_await connected_pair(where());
    std::byte buffer[16];
    for (int turns = 0; turns < 6; ++turns) {
      auto reading = server->read_some(buffer);
      EXPECT_TRUE(co_await cancelled_after_turns(turns, std::move(reading)));
      co_await client->write(bytes_of("abc"));
      EXPECT_EQ(co_await server->read_some(buffer), 3u);
    }
  };
  run(body());
}

TEST_P(stream_over, a_read_that_races_with_its_cancellation_loses_no_byte) {
  auto body = [this]() -> task<> {
    auto [client, server] = co_await connected_pair(where());
    std::string sent = numbers(3000), read;
    auto read_some = [&]() -> task<> {
      std::byte buffer[16];
      std::size_t n = co_await server->read_some(buffer);
      read.append(reinterpret_cast<char*>(buffer), n);
    };
    for (std::size_t at = 0, turns = 0; read.size() < sent.size(); ++turns) {
      if (at < sent.size()) {
        std::string_view piece = std::string_view(sent).substr(at, 7);
        at += piece.size();
        co_await client->write(bytes_of(piece));
      }
      static_cast<void>(co_await cancelled_after_turns(static_cast<int>(turns % 4), read_some()));
    }
    EXPECT_EQ(read, sent);
  };
  run(body());
}

TEST_P(stream_over, a_write_to_a_peer_that_does_not_read_can_be_cancelled) {
  auto body = [this]() -> task<> {
    auto [client, server] = co_await connected_pair(where());
    std::string much(16 << 20, 'x');
    auto writing = client->write(bytes_of(much));
    EXPECT_TRUE(co_await cancelled_after_turns(10, std::move(writing)));
    client->close();
    std::string read = co_await read_to_end(*server);
    EXPECT_GT(read.size(), 0u);
    EXPECT_LT(read.size(), much.size());
  };
  run(body());
}

TEST_P(stream_over, tells_when_the_peer_takes_some_of_a_write_long_before_there_is_room) {
  auto body = [this]() -> task<> {
    auto [client, server] = co_await connected_pair(where());
    std::string much(16 << 20, 'x');
    bool written = false;
    auto write = [&, &to = *client]() -> task<> {
      task<void> writing = to.write(bytes_of(much));
      co_await std::move(writing);
      written = true;
    };
    task_group group;
    group.start(write());
    // The system may acknowledge a little later what it has room for.
    auto goes_quiet = [&from = *client]() -> task<bool> {
      for (int turns = 0; turns < 1000; ++turns) {
        if (!from.peer_took_some()) co_return true;
        co_await yield();
      }
      co_return false;
    };
    std::size_t read = 0;
    for (int round = 0; round < 3; ++round) {
      task<bool> quiet = goes_quiet();
      EXPECT_TRUE(co_await std::move(quiet));
      std::byte buffer[4096];
      do {
        auto reading = server->read_some(buffer);
        read += co_await std::move(reading);
      } while (!client->peer_took_some() && !written);
    }
    EXPECT_FALSE(written);
    EXPECT_LT(read, much.size() / 8);
  };
  run(body());
}

TEST_P(stream_over, a_write_to_a_closed_peer_says_connection_closed) {
  auto body = [this]() -> task<> {
    auto [client, server] = co_await connected_pair(where());
    server.reset();
    try {
      std::string much(4 << 20, 'x');
      for (;;) co_await client->write(bytes_of(much));
    } catch (const error& e) {
      EXPECT_TRUE(e.is(net_errc::connection_closed)) << e.what();
    }
  };
  run(body());
}

TEST_P(stream_over, a_write_after_the_end_says_connection_closed) {
  auto body = [this]() -> task<> {
    auto [client, server] = co_await connected_pair(where());
    co_await send_all(*client, "last words");
    try {
      co_await client->write(bytes_of("and one more"));
      ADD_FAILURE() << "it was written";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(net_errc::connection_closed)) << e.what();
    }
    std::string all = co_await read_to_end(*server);
    EXPECT_EQ(all, "last words");
  };
  run(body());
}

TEST(stream, a_reset_reaches_the_peer_as_connection_closed) {
  auto body = []() -> task<> {
    auto [client, server] = co_await connected_pair(endpoint::parse("127.0.0.1:0"));
    server->reset();
    server->reset();
    std::byte buffer[16];
    auto reading = client->read_some(buffer);
    try {
      co_await std::move(reading);
      ADD_FAILURE() << "the peer saw an end";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(net_errc::connection_closed)) << e.what();
    }
  };
  run(body());
}

// What the system tells of a reset once, the write has heard when the read asks.
TEST(stream, a_reset_that_a_write_noticed_is_no_end_to_a_read) {
  auto body = []() -> task<> {
    auto [client, server] = co_await connected_pair(endpoint::parse("127.0.0.1:0"));
    auto sending = server->write(bytes_of("half of"));
    co_await std::move(sending);
    std::byte buffer[16];
    auto first = client->read_some(buffer);
    EXPECT_EQ(co_await std::move(first), 7u);
    server->reset();
    auto writing = client->write(bytes_of("ping"));
    EXPECT_THROW(co_await std::move(writing), error);
    for (int times = 0; times < 2; ++times) {
      try {
        auto reading = client->read_some(buffer);
        co_await std::move(reading);
        ADD_FAILURE() << "the reader saw an end";
      } catch (const error& e) {
        EXPECT_TRUE(e.is(net_errc::connection_closed)) << e.what();
      }
    }
  };
  run(body());
}

TEST(stream, reads_on_past_urgent_data) {
  auto body = []() -> task<> {
    auto at = listen(endpoint::parse("127.0.0.1:0"));
    int client = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(at->local_endpoint().port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    auto accepting = at->accept();
    auto server = co_await std::move(accepting);
    EXPECT_EQ(::send(client, "abc", 3, 0), 3);
    EXPECT_EQ(::send(client, "!", 1, MSG_OOB), 1);
    EXPECT_EQ(::send(client, "defgh", 5, 0), 5);
    std::string all;
    while (all.size() < 9) {
      std::byte buffer[64];
      auto reading = with_timeout(5s, server->read_some(buffer));
      std::size_t n = co_await std::move(reading);
      all.append(reinterpret_cast<char*>(buffer), n);
    }
    EXPECT_EQ(all, "abc!defgh");
    ::close(client);
  };
  run(body());
}

TEST_P(stream_over, closing_ends_a_read_and_a_write_under_way) {
  auto body = [this]() -> task<> {
    auto [client, server] = co_await connected_pair(where());
    std::string much(16 << 20, 'x');
    std::byte buffer[16];
    auto close_it = [&client = client]() -> task<> {
      for (int i = 0; i < 3; ++i) co_await yield();
      client->close();
      client->close();
    };
    auto all = gather_settled(client->read_some(buffer), client->write(bytes_of(much)), close_it());
    auto [read, written, closed] = co_await std::move(all);
    const error* read_error = read.error_as<error>();
    const error* write_error = written.error_as<error>();
    EXPECT_TRUE(read_error != nullptr && read_error->is(net_errc::connection_closed));
    EXPECT_TRUE(write_error != nullptr && write_error->is(net_errc::connection_closed));
    auto again = client->write(bytes_of("x"));
    EXPECT_THROW(co_await std::move(again), error);
  };
  run(body());
}

TEST_P(stream_over, a_read_that_nothing_answers_ends_with_its_deadline) {
  auto body = [this]() -> task<> {
    auto [client, server] = co_await connected_pair(where());
    std::byte buffer[16];
    auto reading = with_timeout(5ms, client->read_some(buffer));
    EXPECT_THROW(co_await std::move(reading), timed_out);
    co_await server->write(bytes_of("late"));
    EXPECT_EQ(co_await client->read_some(buffer), 4u);
  };
  run(body());
}

TEST_P(stream_over, a_task_destroyed_while_it_reads_and_writes_leaves_nothing_behind) {
  auto body = [this]() -> task<> {
    auto [client, server] = co_await connected_pair(where());
    std::string much(16 << 20, 'x');
    task_group group;
    group.start([](stream& s) -> task<> {
      std::byte buffer[16];
      co_await s.read_some(buffer);
    }(*client));
    group.start(send_all(*client, much));
    for (int i = 0; i < 5; ++i) co_await yield();
  };
  run(body());
}

TEST_P(stream_over, many_connections_echo_at_once) {
  auto body = [this]() -> task<> {
    auto at = listen(where());
    auto serve_one = [](std::unique_ptr<stream> s) -> task<> { co_await echo(*s); };
    auto serve = [&](task_group& group) -> task<> {
      for (;;) {
        auto s = co_await at->accept();
        group.start(serve_one(std::move(s)));
      }
    };
    auto ask = [&](int n) -> task<> {
      auto s = co_await connect(at->local_endpoint());
      std::string text = numbers(200 + n);
      auto both = gather(send_all(*s, text), read_to_end(*s));
      auto [sent, answer] = co_await std::move(both);
      EXPECT_EQ(answer, text);
    };
    auto all = [&](task_group& group) -> task<> {
      group.start_background(serve(group));
      std::vector<task<>> clients;
      for (int i = 0; i < 100; ++i) clients.push_back(ask(i));
      auto asking = gather(std::move(clients));
      co_await std::move(asking);
    };
    co_await with_task_group(all);
  };
  run(body());
}

TEST(stream, an_empty_write_does_nothing) {
  auto body = []() -> task<> {
    auto [client, server] = co_await connected_pair(endpoint::parse("127.0.0.1:0"));
    std::span<const std::byte> empties[] = {{}, {}};
    co_await client->write(empties);
    co_await client->write(std::span<const std::span<const std::byte>>());
    client->shutdown_send();
    std::byte buffer[1];
    EXPECT_EQ(co_await server->read_some(buffer), 0u);
  };
  run(body());
}

}  // namespace
}  // namespace penstock::net
