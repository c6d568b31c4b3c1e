#include "kept_connections.h"

#include <cerrno>
#include <new>
#include <optional>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

// Invariant: a socket is here from when it is opened until it is closed, so that a connection is known even where
// libcurl gives it to the next transfer before it has told of the end of the last. Addresses are asked for when they
// are first needed, for a socket has none before it is connected.

namespace penstock::http {
namespace {

void append_address(std::string& to, const char* text, long port) {
  to.append(text == nullptr ? "" : text).append(" ").append(std::to_string(port)).append(" ");
}

std::string addresses_of(CURL* transfer) {
  std::string both;
  auto add = [&](CURLINFO address, CURLINFO port) {
    const char* text = nullptr;
    long number = 0;
    ::curl_easy_getinfo(transfer, address, &text);
    ::curl_easy_getinfo(transfer, port, &number);
    append_address(both, text, number);
  };
  add(CURLINFO_LOCAL_IP, CURLINFO_LOCAL_PORT);
  add(CURLINFO_PRIMARY_IP, CURLINFO_PRIMARY_PORT);
  return both;
}

void append_address(std::string& to, const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    append_address(to, ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text)), ntohs(v4.sin_port));
  } else {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    append_address(to, ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text)), ntohs(v6.sin6_port));
  }
}

// As libcurl writes them; none while it is not connected.
std::optional<std::string> addresses_of(curl_socket_t socket) {
  std::string both;
  for (auto* ask : {&::getsockname, &::getpeername}) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    if (ask(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return std::nullopt;
    append_address(both, address);
  }
  return both;
}

}  // namespace

void kept_connections::add(curl_socket_t opened) noexcept {
  try {
    opened_.push_back(opened);
  } catch (const std::bad_alloc&) {
    return;  // so it is not used again
  }
}

bool kept_connections::usable(CURL* about_to_send) noexcept {
  char byte;
  ssize_t n = 0;
  try {
    curl_socket_t socket = find(addresses_of(about_to_send));
    if (socket == CURL_SOCKET_BAD) return false;
    n = ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  } catch (const std::bad_alloc&) {
    return false;
  }
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

curl_socket_t kept_connections::find(const std::string& addresses) {
  auto found = connected_.find(addresses);
  if (found == connected_.end()) {
    std::erase_if(opened_, [&](curl_socket_t one) {
      std::optional<std::string> between = addresses_of(one);
      if (between) connected_[*between] = one;
      return between.has_value();
    });
    found = connected_.find(addresses);
  }
  return found == connected_.end() ? CURL_SOCKET_BAD : found->second;
}

void kept_connections::remove(curl_socket_t closing) noexcept {
  std::erase(opened_, closing);
  std::erase_if(connected_, [&](const auto& one) { return one.second == closing; });
}

}  // namespace penstock::http
