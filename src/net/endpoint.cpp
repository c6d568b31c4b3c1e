#include "penstock/net/endpoint.h"

#include "penstock/net/error.h"

#include <charconv>

#include <sys/un.h>

namespace penstock::net {
namespace {

constexpr std::string_view unix_prefix = "unix:";

[[noreturn]] void fail(std::string_view text, std::string_view why) {
  throw error(net_errc::bad_endpoint, "'" + std::string(text) + "': " + std::string(why) +
                                          "; an endpoint looks like 127.0.0.1:8080, [::1]:8080 or unix:/path");
}

std::uint16_t parse_port(std::string_view text, std::string_view digits) {
  unsigned port = 0;
  auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || failure != std::errc() || end != digits.data() + digits.size() || port > 65535)
    fail(text, "the port must be a number from 0 to 65535");
  return static_cast<std::uint16_t>(port);
}

}  // namespace

endpoint endpoint::parse(std::string_view text) {
  if (text.starts_with(unix_prefix)) return unix_socket(std::string(text.substr(unix_prefix.size())));
  if (text.find("://") != std::string_view::npos) fail(text, "this is a URL: leave out scheme and path");
  std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) fail(text, "the port is missing");
  std::string_view host = text.substr(0, colon);
  std::uint16_t port = parse_port(text, text.substr(colon + 1));
  if (host.starts_with('[') && host.ends_with(']') && host.size() > 2) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    fail(text, "an IPv6 address stands in brackets");
  }
  if (host.empty() || host.find_first_of("[] \t/") != std::string_view::npos)
    fail(text, "the host is missing or malformed");
  return tcp(std::string(host), port);
}

endpoint endpoint::tcp(std::string host, std::uint16_t port) { return {kind::tcp, std::move(host), port}; }

endpoint endpoint::unix_socket(std::string path) {
  const auto refuse = [&](std::string_view why) { fail(std::string(unix_prefix) + path, why); };
  if (path.empty()) refuse("the path is missing");
  if (path.size() >= sizeof(sockaddr_un::sun_path)) refuse("the path is longer than 107 bytes");
  if (path.find('\0') != std::string::npos) refuse("the path has a NUL byte in it");
  return {kind::unix_socket, std::move(path), 0};
}

std::string endpoint::to_string() const {
  if (kind_ == kind::unix_socket) return std::string(unix_prefix) + host_;
  bool brackets = host_.find(':') != std::string::npos;
  return (brackets ? "[" + host_ + "]" : host_) + ":" + std::to_string(port_);
}

}  // namespace penstock::net
