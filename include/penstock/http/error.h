#pragma once

// Errors of the http room.

#include "penstock/core/error.h"

#include <string_view>

namespace penstock::http {

/// Errors of the http room.
enum class http_errc {
  bad_request,          ///< The request is malformed or ambiguous; the connection closes.
  uri_too_long,         ///< The request line exceeds its limit.
  headers_too_large,    ///< The header section exceeds its limit, in bytes or in fields.
  body_too_large,       ///< The body exceeds its limit.
  request_timeout,      ///< Headers or body did not come in time.
  expectation_failed,   ///< An Expect other than 100-continue.
  not_implemented,      ///< A transfer coding other than chunked.
  version_unsupported,  ///< Neither HTTP/1.0 nor HTTP/1.1.
  body_incomplete,      ///< The connection ended inside a body.
  not_found,            ///< No route has this path.
  method_not_allowed,   ///< The path's routes have other methods.
  internal_error,       ///< A handler failed; the log says how, under the request's id.
  bad_route,            ///< A route's pattern is malformed, or twice there.
  bad_answer,           ///< A handler's answer can't be sent: its status, or a field's name or value.
};

/// The stable code of an http error.
constexpr std::string_view code_name(http_errc code) noexcept {
  switch (code) {
    case http_errc::bad_request:
      return "http.bad_request";
    case http_errc::uri_too_long:
      return "http.uri_too_long";
    case http_errc::headers_too_large:
      return "http.headers_too_large";
    case http_errc::body_too_large:
      return "http.body_too_large";
    case http_errc::request_timeout:
      return "http.request_timeout";
    case http_errc::expectation_failed:
      return "http.expectation_failed";
    case http_errc::not_implemented:
      return "http.not_implemented";
    case http_errc::version_unsupported:
      return "http.version_unsupported";
    case http_errc::body_incomplete:
      return "http.body_incomplete";
    case http_errc::not_found:
      return "http.not_found";
    case http_errc::method_not_allowed:
      return "http.method_not_allowed";
    case http_errc::internal_error:
      return "http.internal_error";
    case http_errc::bad_route:
      return "http.bad_route";
    case http_errc::bad_answer:
      return "http.bad_answer";
  }
  return "http.unknown";
}

/// The status that an http error is answered with (RFC 9110, 15.5 and 15.6).
constexpr int status_of(http_errc code) noexcept {
  switch (code) {
    case http_errc::uri_too_long:
      return 414;
    case http_errc::headers_too_large:
      return 431;
    case http_errc::body_too_large:
      return 413;
    case http_errc::request_timeout:
      return 408;
    case http_errc::expectation_failed:
      return 417;
    case http_errc::not_implemented:
      return 501;
    case http_errc::version_unsupported:
      return 505;
    case http_errc::not_found:
      return 404;
    case http_errc::method_not_allowed:
      return 405;
    case http_errc::internal_error:
    case http_errc::bad_route:
    case http_errc::bad_answer:
      return 500;
    case http_errc::bad_request:
    case http_errc::body_incomplete:
      break;
  }
  return 400;
}

/// A request that can't be served as HTTP.
class protocol_error : public error {
 public:
  explicit protocol_error(http_errc code, const std::string& message,
                          std::source_location where = std::source_location::current())
      : error(code, message, {}, where), code_(code) {}
  http_errc errc() const noexcept { return code_; }

 private:
  http_errc code_;
};

}  // namespace penstock::http
