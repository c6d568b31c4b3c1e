#pragma once

// Where to listen or connect to.

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::net {

/// A TCP host and port, or the path of a Unix socket.
class endpoint {
 public:
  enum class kind { tcp, unix_socket };

  /// Reads "127.0.0.1:8080", "[::1]:80", "localhost:80" or "unix:/run/penstock.sock". Throws `error` with
  /// `net_errc::bad_endpoint` for anything else, and a port above 65,535.
  static endpoint parse(std::string_view text);
  static endpoint tcp(std::string host, std::uint16_t port);
  /// Throws `error` with `net_errc::bad_endpoint` for a path that is empty, has a NUL byte in it, or is longer than the
  /// system takes (107 bytes, unix(7)).
  static endpoint unix_socket(std::string path);

  kind type() const noexcept { return kind_; }
  /// The host name or address, without brackets; the path of a Unix socket.
  const std::string& host() const noexcept { return host_; }
  const std::string& path() const noexcept { return host_; }
  /// 0 lets the system choose one when listening.
  std::uint16_t port() const noexcept { return port_; }
  /// In the form that `parse` reads.
  std::string to_string() const;

 private:
  endpoint(kind k, std::string host, std::uint16_t port) : kind_(k), host_(std::move(host)), port_(port) {}

  kind kind_;
  std::string host_;
  std::uint16_t port_;
};

}  // namespace penstock::net
