#include "turns.h"
#include <penstock/async/gather.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>

#include <cstddef>
#include <span>
#include <vector>

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace {
// Whether every socket takes at once all that is sent.
bool bottomless = false;
}  // namespace

// Takes the place of the C library's in this program.
extern "C" ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  if (!bottomless) return reinterpret_cast<decltype(&sendmsg)>(dlsym(RTLD_NEXT, "sendmsg"))(socket, message, flags);
  std::size_t taken = 0;
  for (std::size_t i = 0; i < message->msg_iovlen; ++i) taken += message->msg_iov[i].iov_len;
  return static_cast<ssize_t>(taken);
}

namespace penstock::net {
namespace {

TEST(large_write, to_a_peer_that_takes_all_of_it_lets_others_have_their_turn) {
  auto body = []() -> task<> {
    auto at = listen(endpoint::parse("127.0.0.1:0"));
    auto client = co_await connect(at->local_endpoint());
    std::vector<std::byte> block(std::size_t{64} << 10);
    std::vector<std::span<const std::byte>> much(1024, std::span<const std::byte>(block));
    bool written = false;
    int turns = 0;
    auto write = [&]() -> task<> {
      bottomless = true;
      auto writing = client->write(much);
      co_await std::move(writing);
      bottomless = false;
      written = true;
    };
    auto both = gather(write(), count_turns(turns, written));
    co_await std::move(both);
    EXPECT_GE(turns, 8);
  };
  run(body());
}

}  // namespace
}  // namespace penstock::net
