#include "address.h"

#include "penstock/net/error.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <system_error>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/un.h>

namespace penstock::net {
namespace {

std::vector<socket_address> unix_address(const endpoint& where) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, where.path().data(), where.path().size());
  return {socket_address(reinterpret_cast<const sockaddr*>(&address),
                         offsetof(sockaddr_un, sun_path) + where.path().size() + 1)};
}

std::string why_none(const endpoint& where, int failure, int system_failure) {
  if (failure == EAI_SYSTEM || failure == EAI_MEMORY) {
    std::string why = failure == EAI_MEMORY ? ::gai_strerror(failure) : std::generic_category().message(system_failure);
    return "'" + where.host() + "' can't be looked up: " + why;
  }
  return "'" + where.host() + "' has no address: " + ::gai_strerror(failure);
}

}  // namespace

resolution look_up(const endpoint& where, bool to_listen) {
  if (where.type() == endpoint::kind::unix_socket) return {unix_address(where), {}};
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : AI_ADDRCONFIG);
  addrinfo* found = nullptr;
  int failure = ::getaddrinfo(where.host().c_str(), std::to_string(where.port()).c_str(), &hints, &found);
  if (failure != 0) return {{}, why_none(where, failure, errno)};
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  resolution result;
  for (addrinfo* one = found; one != nullptr; one = one->ai_next)
    result.found.emplace_back(one->ai_addr, one->ai_addrlen);
  return result;
}

const std::vector<socket_address>& addresses_of(const resolution& r) {
  if (!r.failure.empty()) throw error(net_errc::resolve_failed, r.failure);
  return r.found;
}

std::vector<socket_address> resolve_blocking(const endpoint& where, bool to_listen) {
  resolution result = look_up(where, to_listen);
  return addresses_of(result);
}

endpoint describe_address(const socket_address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  switch (address.data()->sa_family) {
    case AF_INET: {
      auto* v4 = reinterpret_cast<const sockaddr_in*>(address.data());
      ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
      return endpoint::tcp(text, ntohs(v4->sin_port));
    }
    case AF_INET6: {
      auto* v6 = reinterpret_cast<const sockaddr_in6*>(address.data());
      ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
      return endpoint::tcp(text, ntohs(v6->sin6_port));
    }
    default: {
      auto* local = reinterpret_cast<const sockaddr_un*>(address.data());
      bool named = address.size() > offsetof(sockaddr_un, sun_path);
      return endpoint::unix_socket(named ? std::string(local->sun_path) : std::string("peer"));
    }
  }
}

}  // namespace penstock::net
