#include "head_parser.h"

#include "field_syntax.h"
#include "penstock/http/error.h"

#include <charconv>
#include <cstring>

// Invariant: a head that passes has one reading. Its lines end with CRLF, no field is folded, no blank stands before a
// colon, there is one Host and one framing, and no control character is in it but tabs within values.

namespace penstock::http {
namespace {

[[noreturn]] void refuse(const char* why, http_errc code = http_errc::bad_request) { throw protocol_error(code, why); }
[[noreturn]] void refuse(const char* of, const char* why) {
  throw protocol_error(http_errc::bad_request, std::string(of) + ": " + why);
}

// uri-host [ ":" port ] (RFC 9110, 7.2; RFC 3986, 3.2.2), or empty. `of` is what has it.
void check_host(const char* of, std::string_view host) {
  if (host.starts_with('[')) {
    std::size_t close = host.find(']');
    if (close == std::string_view::npos) refuse(of, "the address has no closing bracket");
    for (char c : host.substr(1, close - 1))
      if (hex_digit(c) < 0 && c != ':' && c != '.') refuse(of, "not an IPv6 address in brackets");
    host.remove_prefix(close + 1);
  } else {
    std::size_t colon = std::min(host.find(':'), host.size());
    for (char c : host.substr(0, colon))
      if (!is_token_character(c) && c != '(' && c != ')' && c != ',' && c != ';' && c != '=')
        refuse(of, "a character that no host name has");
    host.remove_prefix(colon);
  }
  if (host.empty()) return;
  if (host.front() != ':') refuse(of, "something other than a port follows the host");
  for (char c : host.substr(1))
    if (c < '0' || c > '9') refuse(of, "the port is no number");
}

std::uint64_t content_length(std::string_view value) {
  std::uint64_t length = 0;
  if (value.empty() || value.size() > 19 || value.find_first_not_of("0123456789") != std::string_view::npos)
    refuse("Content-Length is no number of bytes");
  std::from_chars(value.data(), value.data() + value.size(), length);
  return length;
}

bool is_absolute(std::string_view target) {
  std::size_t colon = target.find("://");
  return colon != std::string_view::npos && colon > 0 && is_token(target.substr(0, colon)) && colon + 3 < target.size();
}

// The four forms of a target and who may use them (RFC 9112, 3.2).
void check_target(std::string_view method, std::string_view target) {
  if (target.empty()) refuse("the request target is missing");
  for (char c : target)
    if (c <= ' ' || static_cast<unsigned char>(c) >= 0x7f || c == '#')
      refuse("the request target has a byte that may not stand in a URL");
  if (method == "CONNECT") {
    if (target.find(':') == std::string_view::npos || target.find('/') != std::string_view::npos)
      refuse("CONNECT asks for a host and a port");
    return;
  }
  if (target == "*" && method == "OPTIONS") return;
  if (!target.starts_with('/') && !is_absolute(target)) refuse("the request target is no path and no URL");
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::size_t find_head_end(std::string_view data) noexcept {
  // A line may end with a bare LF here, so that such a head is refused at once instead of waited for.
  std::size_t from = 0;
  while (from < data.size()) {
    const void* found = std::memchr(data.data() + from, '\n', data.size() - from);
    if (found == nullptr) return std::string_view::npos;
    std::size_t at = static_cast<std::size_t>(static_cast<const char*>(found) - data.data());
    if (at + 1 < data.size() && data[at + 1] == '\n') return at + 2;
    if (at + 2 < data.size() && data[at + 1] == '\r' && data[at + 2] == '\n') return at + 3;
    from = at + 1;
  }
  return std::string_view::npos;
}

framing head_parser::parse(std::string_view head) {
  for (bool first = true;; first = false) {
    std::size_t end = head.find('\n');
    if (end == std::string_view::npos || end == 0 || head[end - 1] != '\r') refuse("a line does not end with CRLF");
    std::string_view line = head.substr(0, end - 1);
    head.remove_prefix(end + 1);
    if (first)
      take_request_line(line);
    else if (!line.empty())
      take_field(line);
    else
      break;
  }
  if (hosts_ == 0 && !is_http_1_0()) refuse("Host is missing");
  if (content_length_ && framing_.chunked) refuse("both Content-Length and Transfer-Encoding");
  framing_.keep_alive = !close_ && (keep_alive_ || !is_http_1_0());
  return framing_;
}

// method SP request-target SP HTTP-version (RFC 9112, 3).
void head_parser::take_request_line(std::string_view line) {
  std::size_t first = line.find(' ');
  std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) refuse("the request line is not method, target and version");
  request_.method_ = line.substr(0, first);
  if (!is_token(request_.method_)) refuse("the method is malformed");
  take_target(line.substr(first + 1, last - first - 1));
  std::string_view version = line.substr(last + 1);
  bool well_formed = version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) && version[6] == '.' &&
                     is_digit(version[7]);
  if (!well_formed) refuse("the HTTP version is malformed");
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    refuse("only HTTP/1.0 and HTTP/1.1 are spoken", http_errc::version_unsupported);
  request_.minor_version_ = version[7] - '0';
}

void head_parser::take_target(std::string_view target) {
  check_target(request_.method_, target);
  request_.target_ = target;
  std::string_view path = target;
  // The absolute form, as sent to proxies, is to be accepted (RFC 9112, 3.2.2).
  for (std::string_view scheme : {"http://", "https://"}) {
    if (target.front() == '/' || !equal_ignoring_case(target.substr(0, scheme.size()), scheme)) continue;
    path.remove_prefix(scheme.size());
    std::string_view authority = path.substr(0, path.find_first_of("/?"));
    // An http URL has a host, and no name or password (RFC 9110, 4.2.1 and 4.2.4).
    if (authority.empty() || authority.front() == ':') refuse("the request target has no host");
    check_host("the request target", authority);
    path.remove_prefix(authority.size());
  }
  std::size_t mark = path.find('?');
  request_.path_ = path.substr(0, mark);
  if (request_.path_.empty()) request_.path_ = "/";
  request_.query_ = mark == std::string_view::npos ? std::string_view() : path.substr(mark + 1);
}

void head_parser::take_field(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') refuse("obsolete line folding (RFC 9112, 5.2)");
  std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) refuse("a header line has no colon");
  std::string_view name = line.substr(0, colon);
  std::string_view value = trim(line.substr(colon + 1));
  if (!is_token(name)) refuse("a field name is malformed");
  if (!is_free_of_controls(value)) refuse("a control character in a field's value");
  if (request_.headers_.size() == most_fields_)
    throw protocol_error(http_errc::headers_too_large, "more than " + std::to_string(most_fields_) + " header fields");
  request_.headers_.push_back({name, value});
  take_meaning(name, value);
}

// What the server itself must know of.
void head_parser::take_meaning(std::string_view name, std::string_view value) {
  switch (name.size()) {
    case 4:
      if (!equal_ignoring_case(name, "host")) return;
      if (++hosts_ > 1) refuse("more than one Host");
      return check_host("Host", value);
    case 6:
      if (!equal_ignoring_case(name, "expect") || is_http_1_0()) return;
      if (equal_ignoring_case(value, "100-continue"))
        framing_.expects_continue = true;
      else
        framing_.expects_something_else = true;
      return;
    case 10:
      if (equal_ignoring_case(name, "connection")) take_connection(value);
      return;
    case 12:
      if (!equal_ignoring_case(name, "content-type")) return;
      if (content_type_) refuse("more than one Content-Type (RFC 9110, 5.3 and 8.3)");
      content_type_ = true;
      return;
    case 14:
      if (!equal_ignoring_case(name, "content-length")) return;
      if (content_length_) refuse("more than one Content-Length");
      content_length_ = true;
      framing_.length = content_length(value);
      return;
    case 17:
      if (equal_ignoring_case(name, "transfer-encoding")) take_transfer_encoding(value);
      return;
    default:
      return;
  }
}

void head_parser::take_connection(std::string_view value) {
  while (!value.empty()) {
    std::size_t comma = std::min(value.find(','), value.size());
    std::string_view option = trim(value.substr(0, comma));
    close_ = close_ || equal_ignoring_case(option, "close");
    keep_alive_ = keep_alive_ || equal_ignoring_case(option, "keep-alive");
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
}

// RFC 9112, 6.1 and 7: we know chunked alone, which ends the list.
void head_parser::take_transfer_encoding(std::string_view value) {
  if (is_http_1_0()) refuse("Transfer-Encoding in HTTP/1.0 (RFC 9112, 6.1)");
  if (framing_.chunked) refuse("more than one Transfer-Encoding");
  framing_.chunked = true;
  if (equal_ignoring_case(value, "chunked")) return;
  std::string_view rest = value;
  bool other = false;
  std::string_view coding;
  for (std::size_t comma = 0; comma != std::string_view::npos;) {
    comma = rest.find(',');
    coding = trim(rest.substr(0, comma));
    if (!is_token(coding)) refuse("Transfer-Encoding: a coding's name is malformed");
    other = other || !equal_ignoring_case(coding, "chunked");
    if (comma != std::string_view::npos) rest.remove_prefix(comma + 1);
  }
  if (!equal_ignoring_case(coding, "chunked"))
    refuse("Transfer-Encoding does not end with chunked: the body's length is unknown");
  if (other) refuse("Transfer-Encoding: no coding but chunked is implemented", http_errc::not_implemented);
  refuse("Transfer-Encoding: chunked is applied more than once");
}

}  // namespace penstock::http
