#pragma once

// What can go wrong with a request that a `client` sends. Tell failures apart by code; the message names method, URL
// and reason.
//
//   try { answer = co_await client.get(url); }
//   catch (const client_error& e) { if (e.errc() == client_errc::timed_out) … }

#include "penstock/core/error.h"

#include <memory>
#include <string>
#include <string_view>

namespace penstock::http {

struct client_response;

/// Errors of the HTTP client.
enum class client_errc {
  bad_url,             ///< Not an absolute http or https URL.
  bad_request,         ///< A method or header field that can't be sent.
  resolve_failed,      ///< The host has no address.
  connect_failed,      ///< No connection, or none within `connect_timeout`. Nothing was sent.
  tls_failed,          ///< No trusted, encrypted connection. Nothing was sent.
  connection_lost,     ///< The connection ended before an answer began: the request may have been carried out.
  broken_response,     ///< The answer is malformed, or ended in the middle.
  timed_out,           ///< No answer in time: `request_timeout`, which may pass while connecting, or `idle_timeout`.
  too_large,           ///< The answer exceeds its limit.
  too_many_redirects,  ///< More redirects than `max_redirects`.
  redirect_refused,    ///< A redirect from https to http, or to what is no http URL.
  overloaded,          ///< `max_waiting_requests` wait already. Nothing was sent.
  closed,              ///< The client was closed. Nothing was sent.
  failed_status,       ///< `safe_request` got a status of 400 or above.
  transfer_failed,     ///< Anything else that libcurl reports.
};

/// The stable code of a client error.
constexpr std::string_view code_name(client_errc code) noexcept {
  switch (code) {
    case client_errc::bad_url:
      return "client.bad_url";
    case client_errc::bad_request:
      return "client.bad_request";
    case client_errc::resolve_failed:
      return "client.resolve_failed";
    case client_errc::connect_failed:
      return "client.connect_failed";
    case client_errc::tls_failed:
      return "client.tls_failed";
    case client_errc::connection_lost:
      return "client.connection_lost";
    case client_errc::broken_response:
      return "client.broken_response";
    case client_errc::timed_out:
      return "client.timed_out";
    case client_errc::too_large:
      return "client.too_large";
    case client_errc::too_many_redirects:
      return "client.too_many_redirects";
    case client_errc::redirect_refused:
      return "client.redirect_refused";
    case client_errc::overloaded:
      return "client.overloaded";
    case client_errc::closed:
      return "client.closed";
    case client_errc::failed_status:
      return "client.failed_status";
    case client_errc::transfer_failed:
      return "client.transfer_failed";
  }
  return "client.unknown";
}

/// A request that got no usable answer.
class client_error : public error {
 public:
  /// `url` is redacted here: without its password, and without the query parameters that name a secret.
  client_error(client_errc code, std::string_view method, std::string_view url, std::string_view reason,
               std::exception_ptr cause = {}, std::source_location where = std::source_location::current());
  ~client_error() override;

  client_errc errc() const noexcept { return code_; }
  /// The URL that failed, redacted: after redirects, where they led.
  const std::string& url() const noexcept { return *url_; }

 private:
  client_error(client_errc code, std::string_view method, std::shared_ptr<const std::string> url,
               std::string_view reason, std::exception_ptr cause, std::source_location where);

  client_errc code_;
  std::shared_ptr<const std::string> url_;
};

/// An answer that `safe_request` counts as a failure: status 400 or above.
class status_error : public client_error {
 public:
  status_error(std::string_view method, client_response answer,
               std::source_location where = std::source_location::current());
  ~status_error() override;

  int status() const noexcept;
  /// The whole answer, with what its body says about the failure.
  const client_response& answer() const noexcept { return *answer_; }

 private:
  std::shared_ptr<const client_response> answer_;
};

}  // namespace penstock::http
