#pragma once

#include <map>
#include <string>
#include <vector>

#include <curl/curl.h>

namespace penstock::http {

// The open connections of libcurl, so that one can be looked at before it is used again. libcurl does not tell which
// one a transfer uses, only between which addresses it runs.
class kept_connections {
 public:
  // A socket was opened, to be connected.
  void add(curl_socket_t opened) noexcept;
  // Whether the one that a transfer is about to use again can be used. False when something came over it while nothing
  // was asked (RFC 9112, 9.2), or it has ended, or it is not known.
  bool usable(CURL* about_to_send) noexcept;
  // This socket is being closed.
  void remove(curl_socket_t closing) noexcept;

 private:
  curl_socket_t find(const std::string& addresses);

  std::vector<curl_socket_t> opened_;               // those that were not yet seen connected
  std::map<std::string, curl_socket_t> connected_;  // by both addresses
};

}  // namespace penstock::http
