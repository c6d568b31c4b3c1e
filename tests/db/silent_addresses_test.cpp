// A host of which no address answers, as behind a network that is cut, and which libmariadb looks up by itself.

#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/net/event_loop.h>

#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr const char* addresses[] = {"127.0.0.3", "127.0.0.4"};

}  // namespace

// Takes the place of the C library's in this program: silent.test has two addresses.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
  auto* real = reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (name == nullptr || std::string_view(name) != "silent.test") return real(name, service, hints, found);
  int failure = real(addresses[0], service, hints, found);
  if (failure != 0) return failure;
  addrinfo* last = *found;
  while (last->ai_next != nullptr) last = last->ai_next;
  return real(addresses[1], service, hints, &last->ai_next);
}

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

// A port whose queue is full, so that its system answers no more who would connect.
class silent_port {
 public:
  // 0: a free one.
  silent_port(const char* address, std::uint16_t port) {
    sockaddr_in at{};
    socklen_t size = sizeof(at);
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    ::inet_pton(AF_INET, address, &at.sin_addr);
    auto* where = reinterpret_cast<sockaddr*>(&at);
    for (int& one : sockets_) one = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(sockets_[0], where, size), 0);
    EXPECT_EQ(::listen(sockets_[0], 0), 0);
    EXPECT_EQ(::getsockname(sockets_[0], where, &size), 0);
    port_ = ntohs(at.sin_port);
    for (std::size_t i = 1; i < std::size(sockets_); ++i) static_cast<void>(::connect(sockets_[i], where, size));
  }
  silent_port(const silent_port&) = delete;
  silent_port& operator=(const silent_port&) = delete;
  ~silent_port() {
    for (int one : sockets_) ::close(one);
  }
  std::uint16_t port() const noexcept { return port_; }

 private:
  int sockets_[6];
  std::uint16_t port_ = 0;
};

// The library would go on to the second address by a connect that blocks the loop for some two minutes.
TEST(silent_addresses, of_a_host_do_not_hold_up_the_loop) {
  silent_port first(addresses[0], 0);
  silent_port second(addresses[1], first.port());
  const std::string url =
      "mariadb://user@silent.test:" + std::to_string(first.port()) + "/d?connect_timeout=200ms&tls=verify-full";
  auto main = [&]() -> task<> {
    const time_point start = scheduler::current().now();
    std::optional<db_errc> failure;
    try {
      task<std::unique_ptr<connection>> connecting = database(url).connect();
      co_await std::move(connecting);
    } catch (const database_error& e) {
      failure = e.errc();
    }
    EXPECT_EQ(failure, db_errc::connection_lost);
    EXPECT_LT(scheduler::current().now() - start, 20s);
  };
  net::run(main());
}

}  // namespace
}  // namespace penstock::db
