#pragma once

#include "penstock/net/endpoint.h"

#include <string>
#include <string_view>

namespace penstock::http {

// An absolute http or https URL, normalised as libcurl does.
class client_url {
 public:
  // Throws `client_errc::bad_url`; `method` is for the message.
  static client_url parse(std::string_view method, const std::string& text);
  // What a Location field says, seen from here. Throws `redirect_refused` for what is no http or https URL, and when it
  // would leave https.
  client_url redirected(std::string_view method, const std::string& location) const;

  const std::string& text() const noexcept { return text_; }
  // As `text`, without user name, password and fragment.
  const std::string& address() const noexcept { return address_; }
  // The host as it is looked up: in ASCII, IPv6 addresses without brackets.
  const std::string& host() const noexcept { return host_; }
  const std::string& port() const noexcept { return port_; }
  // Scheme, host and port: what requests share a server by.
  const std::string& origin() const noexcept { return origin_; }
  bool secure() const noexcept { return secure_; }
  net::endpoint endpoint() const;

 private:
  // Null, or what libcurl has against the text.
  const char* read(const std::string& base, const std::string& reference);

  std::string text_;
  std::string address_;
  std::string host_;
  std::string port_;
  std::string origin_;
  bool secure_ = false;
};

}  // namespace penstock::http
