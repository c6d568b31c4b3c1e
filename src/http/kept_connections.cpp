#include "kept_connections.h"

#include "penstock/http/request.h"

#include <cerrno>
#include <new>

#include <sys/socket.h>

// Invariant: a connection is here from the end of one transfer to the start of the next, or until it is closed.

namespace penstock::http {
namespace {

std::string addresses_of(CURL* transfer) {
  std::string both;
  auto add = [&](CURLINFO address, CURLINFO port) {
    const char* text = nullptr;
    long number = 0;
    ::curl_easy_getinfo(transfer, address, &text);
    ::curl_easy_getinfo(transfer, port, &number);
    both.append(text == nullptr ? "" : text).append(" ").append(std::to_string(number)).append(" ");
  };
  add(CURLINFO_LOCAL_IP, CURLINFO_LOCAL_PORT);
  add(CURLINFO_PRIMARY_IP, CURLINFO_PRIMARY_PORT);
  return both;
}

bool is_secure(CURL* transfer) {
  const char* scheme = nullptr;
  ::curl_easy_getinfo(transfer, CURLINFO_SCHEME, &scheme);
  return scheme != nullptr && equal_ignoring_case(scheme, "https");
}

}  // namespace

void kept_connections::add(CURL* answered) noexcept {
  curl_socket_t socket = CURL_SOCKET_BAD;
  ::curl_easy_getinfo(answered, CURLINFO_ACTIVESOCKET, &socket);
  if (socket == CURL_SOCKET_BAD || is_secure(answered)) return;
  try {
    sockets_[addresses_of(answered)] = socket;
  } catch (const std::bad_alloc&) {
    return;  // so it is not used again
  }
}

bool kept_connections::take(CURL* about_to_send) noexcept {
  char byte;
  ssize_t n = 0;
  try {
    auto found = sockets_.find(addresses_of(about_to_send));
    if (found == sockets_.end()) return false;
    n = ::recv(found->second, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    sockets_.erase(found);
  } catch (const std::bad_alloc&) {
    return false;
  }
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void kept_connections::remove(curl_socket_t closing) noexcept {
  std::erase_if(sockets_, [&](const auto& one) { return one.second == closing; });
}

}  // namespace penstock::http
