#include "client_url.h"

#include "penstock/http/client_error.h"
#include "penstock/http/request.h"
#include "penstock/observe/log.h"

#include <algorithm>
#include <memory>
#include <new>

#include <curl/curl.h>

// URLs are read by libcurl's own parser, so that what we check is what libcurl connects to.

namespace penstock::http {
namespace {

struct free_url {
  void operator()(CURLU* u) const noexcept { ::curl_url_cleanup(u); }
};
using url_handle = std::unique_ptr<CURLU, free_url>;

std::string part_of(CURLU* u, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (::curl_url_get(u, part, &text, flags) != CURLUE_OK) return {};
  std::unique_ptr<char, decltype(&::curl_free)> owner(text, &::curl_free);
  return text;
}

}  // namespace

const char* client_url::read(const std::string& base, const std::string& reference) {
  url_handle u(::curl_url());
  if (!u) throw std::bad_alloc();
  constexpr unsigned any_scheme = CURLU_NON_SUPPORT_SCHEME;
  if (!base.empty()) ::curl_url_set(u.get(), CURLUPART_URL, base.c_str(), 0);
  // A Location is not always encoded as it should be; what a caller gives must be.
  unsigned flags = any_scheme | (base.empty() ? 0u : unsigned{CURLU_URLENCODE});
  if (CURLUcode refused = ::curl_url_set(u.get(), CURLUPART_URL, reference.c_str(), flags); refused != CURLUE_OK)
    return ::curl_url_strerror(refused);

  std::string scheme = part_of(u.get(), CURLUPART_SCHEME);
  secure_ = equal_ignoring_case(scheme, "https");
  if (!secure_ && !equal_ignoring_case(scheme, "http")) return "the scheme must be http or https";
  host_ = part_of(u.get(), CURLUPART_HOST, CURLU_PUNYCODE);
  if (host_.empty()) return "the host name can't be written in ASCII";
  port_ = part_of(u.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  text_ = part_of(u.get(), CURLUPART_URL);
  origin_ = (secure_ ? "https://" : "http://") + host_ + ":" + port_;
  std::transform(origin_.begin(), origin_.end(), origin_.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
  if (host_.front() == '[') host_ = host_.substr(1, host_.size() - 2);
  for (CURLUPart secret : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_FRAGMENT})
    ::curl_url_set(u.get(), secret, nullptr, 0);
  address_ = part_of(u.get(), CURLUPART_URL);
  return nullptr;
}

client_url client_url::parse(std::string_view method, const std::string& text) {
  client_url parsed;
  if (text.find('\0') != std::string::npos)
    throw client_error(client_errc::bad_url, method, text, "the URL has a NUL byte in it");
  if (const char* refused = parsed.read({}, text))
    throw client_error(client_errc::bad_url, method, text,
                       std::string(refused) + ": give an absolute URL such as http://127.0.0.1:8080/");
  return parsed;
}

net::endpoint client_url::endpoint() const {
  return net::endpoint::tcp(host_, static_cast<std::uint16_t>(std::stoi(port_)));  // libcurl has checked it
}

client_url client_url::redirected(std::string_view method, const std::string& location) const {
  client_url next;
  if (const char* refused = next.read(text_, location))
    throw client_error(client_errc::redirect_refused, method, text_,
                       "redirected to '" + log::redact_url(location) + "', which can't be followed: " + refused);
  if (secure_ && !next.secure_)
    throw client_error(
        client_errc::redirect_refused, method, text_,
        "redirected from https to http (" + log::redact_url(next.address_) + "): ask there if that is meant");
  return next;
}

}  // namespace penstock::http
