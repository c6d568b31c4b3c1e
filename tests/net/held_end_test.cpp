#include <penstock/net/held_end.h>

#include <optional>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock::net {
namespace {

struct open_socket {
  explicit open_socket(int domain) : number(socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  open_socket(const open_socket&) = delete;
  open_socket& operator=(const open_socket&) = delete;
  ~open_socket() { close(number); }

  int number;
};

int corked(int socket) {
  int on = -1;
  socklen_t size = sizeof on;
  getsockopt(socket, IPPROTO_TCP, TCP_CORK, &on, &size);
  return on;
}

TEST(held_end, holds_on_tcp_while_it_lives) {
  open_socket s(AF_INET);
  std::optional<held_end> end(s.number);
  EXPECT_TRUE(end->holds());
  EXPECT_EQ(corked(s.number), 1);
  end.reset();
  EXPECT_EQ(corked(s.number), 0);
}

TEST(held_end, holds_nothing_where_there_is_no_tcp) {
  open_socket s(AF_UNIX);
  EXPECT_FALSE(held_end(s.number).holds());
  EXPECT_FALSE(held_end(-1).holds());
}

}  // namespace
}  // namespace penstock::net
