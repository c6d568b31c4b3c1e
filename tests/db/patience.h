#pragma once

#include <string>

namespace penstock::db {

// The URL, for a machine that stands still for seconds at times: what the tests are about is not how fast it is.
inline std::string patient(const std::string& url) {
  return url + (url.find('?') == std::string::npos ? "?" : "&") + "connect_timeout=1m&silence_timeout=1m";
}

}  // namespace penstock::db
