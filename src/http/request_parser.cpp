#include "request_parser.h"

#include "penstock/http/error.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>

namespace penstock::http {
namespace {
std::string_view view(boost::beast::string_view text) noexcept { return {text.data(), text.size()}; }
}  // namespace

request_parser::request_parser(std::string_view head, request& r, std::size_t most_fields,
                               std::uint64_t most_body_bytes)
    : request_(r), most_fields_(most_fields) {
  header_limit(static_cast<std::uint32_t>(head.size() + 1));
  body_limit(most_body_bytes);
  error_code failure;
  put_all(head, failure);
  if (too_many_fields_)
    throw protocol_error(http_errc::headers_too_large, "more than " + std::to_string(most_fields) + " header fields");
  if (bad_expectation_) throw protocol_error(http_errc::expectation_failed, "Expect: only 100-continue is known");
  if (failure) fail(failure);
}

// Beast takes one element a call; the head is one, what it leads to is none of its bytes.
std::size_t request_parser::put_all(std::string_view data, error_code& failure) {
  std::size_t used = 0;
  while (used < data.size() && in_head_ && !failure) {
    std::size_t n = put(boost::asio::buffer(data.data() + used, data.size() - used), failure);
    used += n;
    if (n == 0) break;
  }
  return used;
}

void request_parser::fail(const error_code& failure) const {
  namespace beast_http = boost::beast::http;
  if (failure == beast_http::error::body_limit)
    throw protocol_error(http_errc::body_too_large, "the body is longer than allowed");
  if (failure == beast_http::error::bad_version)
    throw protocol_error(http_errc::version_unsupported, "only HTTP/1.0 and HTTP/1.1 are spoken");
  throw protocol_error(http_errc::bad_request, "malformed request: " + failure.message());
}

std::optional<std::uint64_t> request_parser::body_length() {
  auto length = content_length();
  if (length) return *length;
  if (chunked()) return std::nullopt;
  return 0;
}

request_parser::step request_parser::put_body(std::string_view data) {
  step s;
  piece_ = {};
  error_code failure;
  s.consumed = put(boost::asio::buffer(data.data(), data.size()), failure);
  s.body = piece_;
  s.need_more = failure == boost::beast::http::error::need_more;
  if (bad_trailer_)
    throw protocol_error(http_errc::bad_request, "a trailer field that may only stand in the header section");
  if (failure && !s.need_more) fail(failure);
  return s;
}

void request_parser::on_request_impl(verb, boost::beast::string_view method, boost::beast::string_view target,
                                     int version, error_code&) {
  request_.method_ = view(method);
  request_.target_ = view(target);
  request_.minor_version_ = version % 10;
  std::string_view path = request_.target_;
  // The absolute form, as sent to proxies, is to be accepted (RFC 9112, 3.2.2).
  for (std::string_view scheme : {"http://", "https://"}) {
    if (path.size() < scheme.size() || !equal_ignoring_case(path.substr(0, scheme.size()), scheme)) continue;
    path.remove_prefix(scheme.size());
    std::size_t slash = path.find_first_of("/?");
    path = slash == std::string_view::npos ? "/" : path.substr(slash);
  }
  std::size_t mark = path.find('?');
  request_.path_ = path.substr(0, mark);
  if (request_.path_.empty()) request_.path_ = "/";
  request_.query_ = mark == std::string_view::npos ? std::string_view() : path.substr(mark + 1);
}

void request_parser::on_field_impl(field f, boost::beast::string_view name, boost::beast::string_view value,
                                   error_code&) {
  if (!in_head_) {
    // Trailer fields are read and dropped; framing and routing must not come that late (RFC 9110, 6.5.1).
    bad_trailer_ = bad_trailer_ || f == field::content_length || f == field::transfer_encoding || f == field::host;
    return;
  }
  if (request_.headers_.size() == most_fields_) too_many_fields_ = true;
  if (f == field::expect && request_.minor_version_ > 0) {
    expects_continue_ = equal_ignoring_case(view(value), "100-continue");
    bad_expectation_ = bad_expectation_ || !expects_continue_;
  }
  if (!too_many_fields_) request_.headers_.push_back({view(name), view(value)});
}

std::size_t request_parser::on_body_impl(boost::beast::string_view body, error_code&) {
  piece_ = view(body);
  return body.size();
}

std::size_t request_parser::on_chunk_body_impl(std::uint64_t, boost::beast::string_view body, error_code&) {
  piece_ = view(body);
  return body.size();
}

}  // namespace penstock::http
