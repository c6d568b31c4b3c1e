#pragma once

#include <map>
#include <string>

#include <curl/curl.h>

namespace penstock::http {

// The connections without TLS that libcurl keeps. It does not tell which one a transfer uses again, only between which
// addresses it runs.
class kept_connections {
 public:
  // A transfer was answered, and its connection may be kept. Before the transfer is taken from its multi handle.
  void add(CURL* answered) noexcept;
  // Takes the one out that a transfer is about to use. False when it can't be used: something came over it while
  // nothing was asked (RFC 9112, 9.2), or it has ended, or it is not known.
  bool take(CURL* about_to_send) noexcept;
  // This socket is being closed.
  void remove(curl_socket_t closing) noexcept;

 private:
  std::map<std::string, curl_socket_t> sockets_;  // by both addresses
};

}  // namespace penstock::http
