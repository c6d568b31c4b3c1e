#include "app/serve/reachable.h"

#include <gtest/gtest.h>

namespace penstock::app {
namespace {

bool only_here(const char* where) { return only_from_this_machine(net::endpoint::parse(where)); }

TEST(reachable, loopback_addresses_and_unix_sockets_are_reached_from_this_machine_only) {
  EXPECT_TRUE(only_here("127.0.0.1:80"));
  EXPECT_TRUE(only_here("127.255.0.3:80"));
  EXPECT_TRUE(only_here("[::1]:80"));
  EXPECT_TRUE(only_here("localhost:80"));
  EXPECT_TRUE(only_here("unix:/run/penstock.sock"));
}

TEST(reachable, everything_else_may_be_reached_from_elsewhere) {
  EXPECT_FALSE(only_here("0.0.0.0:80"));
  EXPECT_FALSE(only_here("[::]:80"));
  EXPECT_FALSE(only_here("192.168.1.1:80"));
  EXPECT_FALSE(only_here("127.example.org:80"));
  EXPECT_FALSE(only_here("penstock.example:80"));
}

}  // namespace
}  // namespace penstock::app
