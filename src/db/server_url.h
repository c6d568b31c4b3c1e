#pragma once

// URLs of database servers, alike for all that listen on a network:
//
//   scheme://user:password@host:port,host:port/database?option=value&…
//
// Hosts are names or addresses (IPv6 in brackets); parts may be percent-encoded (RFC 3986, 2.1). Options:
//   socket=/path          a Unix socket instead of hosts
//   tls=MODE              off, require (encrypt, trust any; with tls_ca as verify-ca), verify-ca, verify-full; without
//                         it off for loopback and sockets, and verify-full for all else
//   tls_ca, tls_cert, tls_key=FILE
//   connect_timeout=2s    for each host
//   silence_timeout=5s    after which a server that says nothing when it is asked to begin, to commit or to end a
//                         statement, or that acknowledges nothing on the network, counts as lost
//   idle_transaction_timeout=30s  after which the server takes the client of a transaction that does nothing for gone,
//                         and rolls it back; 0: as the server is set
//   target=primary|any    whether a server that takes no writes is passed over; primary without it
//   bulk=auto|values      whether rows may go in by what the server has for bulk loading, or by plain INSERT alone

#include "penstock/async/scheduler.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::db {

// Where one server listens.
struct server_address {
  std::string host;  // empty for a socket
  std::uint16_t port = 0;
  std::string socket = {};

  bool is_local() const noexcept;
  // "host:port", or the socket's path.
  std::string to_string() const;
  bool operator==(const server_address&) const = default;
};

enum class tls_mode : std::uint8_t { off, require, verify_ca, verify_full };

struct server_url {
  std::string name;  // the URL without its password, for logs
  std::vector<server_address> addresses;
  std::string user;
  std::string password;
  std::string database;
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
  duration connect_timeout = std::chrono::seconds(2);
  duration silence_timeout = std::chrono::seconds(5);
  duration idle_transaction_timeout = std::chrono::seconds(30);
  bool tls_given = false;
  tls_mode tls = tls_mode::verify_full;
  bool primary_only = true;
  bool bulk_allowed = true;

  tls_mode tls_for(const server_address& a) const noexcept;
  // Throws `db_errc::auth` when a file that is named for TLS can't be read: the libraries do not say which one it is.
  void require_tls_files() const;
};

// Throws `db_errc::bad_url`, which names the part that is wrong and not the password.
server_url parse_server_url(const std::string& url, std::uint16_t default_port);

}  // namespace penstock::db
