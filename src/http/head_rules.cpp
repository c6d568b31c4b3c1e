#include "head_rules.h"

#include "penstock/http/error.h"
#include "penstock/http/request.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::http {
namespace {

[[noreturn]] void refuse(const char* why, http_errc code = http_errc::bad_request) { throw protocol_error(code, why); }

// What the fields of one head said so far about host and framing.
struct framing {
  int hosts = 0;
  bool content_type = false;
  bool content_length = false;
  bool transfer_encoding = false;
};

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = table[static_cast<std::size_t>(c - 32)] = true;
  for (char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'})
    table[static_cast<unsigned char>(c)] = true;
  return table;
}

constexpr std::array<bool, 256> token_characters = make_token_table();

bool is_token(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return token_characters[static_cast<unsigned char>(c)]; });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_hex(char c) { return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

// uri-host [ ":" port ] (RFC 9110, 7.2; RFC 3986, 3.2.2); empty when the target has no authority.
void check_host(std::string_view host) {
  if (host.starts_with('[')) {
    std::size_t close = host.find(']');
    if (close == std::string_view::npos) refuse("Host: the address has no closing bracket");
    for (char c : host.substr(1, close - 1))
      if (!is_hex(c) && c != ':' && c != '.') refuse("Host: not an IPv6 address in brackets");
    host.remove_prefix(close + 1);
  } else {
    std::size_t colon = std::min(host.find(':'), host.size());
    for (char c : host.substr(0, colon))
      if (!token_characters[static_cast<unsigned char>(c)] && c != '(' && c != ')' && c != ',' && c != ';' && c != '=')
        refuse("Host: a character that no host name has");
    host.remove_prefix(colon);
  }
  if (host.empty()) return;
  if (host.front() != ':') refuse("Host: something other than a port follows the host");
  for (char c : host.substr(1))
    if (c < '0' || c > '9') refuse("Host: the port is no number");
}

void check_content_length(std::string_view value) {
  if (value.empty() || value.size() > 19 || value.find_first_not_of("0123456789") != std::string_view::npos)
    refuse("Content-Length is no number of bytes");
}

// RFC 9112, 6.1 and 7: we know chunked alone, which ends the list.
void check_transfer_encoding(std::string_view value) {
  if (equal_ignoring_case(value, "chunked")) return;
  std::string_view rest = value;
  bool other = false;
  std::size_t codings = 0;
  while (true) {
    std::size_t comma = rest.find(',');
    std::string_view coding = trim(rest.substr(0, comma));
    if (!is_token(coding)) refuse("Transfer-Encoding: a coding's name is malformed");
    other = other || !equal_ignoring_case(coding, "chunked");
    ++codings;
    if (comma == std::string_view::npos) {
      if (!equal_ignoring_case(coding, "chunked"))
        refuse("Transfer-Encoding does not end with chunked: the body's length is unknown");
      break;
    }
    rest.remove_prefix(comma + 1);
  }
  if (other) refuse("Transfer-Encoding: no coding but chunked is implemented", http_errc::not_implemented);
  if (codings > 1) refuse("Transfer-Encoding: chunked is applied more than once");
}

void check_field(std::string_view line, bool http_1_0, framing& seen) {
  if (line.front() == ' ' || line.front() == '\t') refuse("obsolete line folding (RFC 9112, 5.2)");
  std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) refuse("a header line has no colon");
  std::string_view name = line.substr(0, colon);
  if (!is_token(name)) refuse("a field name is malformed");
  std::string_view value = trim(line.substr(colon + 1));
  switch (name.size()) {
    case 4:
      if (!equal_ignoring_case(name, "host")) return;
      if (++seen.hosts > 1) refuse("more than one Host");
      check_host(value);
      return;
    case 12:
      if (!equal_ignoring_case(name, "content-type")) return;
      if (seen.content_type) refuse("more than one Content-Type (RFC 9110, 5.3 and 8.3)");
      seen.content_type = true;
      return;
    case 14:
      if (!equal_ignoring_case(name, "content-length")) return;
      if (seen.content_length) refuse("more than one Content-Length");
      seen.content_length = true;
      check_content_length(value);
      return;
    case 17:
      if (!equal_ignoring_case(name, "transfer-encoding")) return;
      if (http_1_0) refuse("Transfer-Encoding in HTTP/1.0 (RFC 9112, 6.1)");
      if (seen.transfer_encoding) refuse("more than one Transfer-Encoding");
      seen.transfer_encoding = true;
      check_transfer_encoding(value);
      return;
    default:
      return;
  }
}

void check_characters(std::string_view head) {
  for (std::size_t i = 0; i < head.size(); ++i) {
    auto c = static_cast<unsigned char>(head[i]);
    if (c >= 0x20 && c != 0x7f) [[likely]]
      continue;
    if (c == '\t') continue;
    if (c == '\r' && i + 1 < head.size() && head[i + 1] == '\n') {
      ++i;
      continue;
    }
    refuse(c == '\n' || c == '\r' ? "a line does not end with CRLF" : "a control character in the header section");
  }
}

bool is_absolute(std::string_view target) {
  std::size_t colon = target.find("://");
  return colon != std::string_view::npos && colon > 0 && is_token(target.substr(0, colon)) && colon + 3 < target.size();
}

// The four forms of a target and who may use them (RFC 9112, 3.2).
void check_target(std::string_view method, std::string_view target) {
  if (target.empty() || target.find_first_of(" \t#") != std::string_view::npos)
    refuse("the request target is malformed");
  for (char c : target)
    if (static_cast<unsigned char>(c) >= 0x80) refuse("the request target has a byte that is not ASCII");
  if (method == "CONNECT") {
    if (target.find(':') == std::string_view::npos || target.find('/') != std::string_view::npos)
      refuse("CONNECT asks for a host and a port");
    return;
  }
  if (target == "*" && method == "OPTIONS") return;
  if (!target.starts_with('/') && !is_absolute(target)) refuse("the request target is no path and no URL");
}

// method SP request-target SP HTTP-version (RFC 9112, 3). Returns whether it is HTTP/1.0.
bool check_request_line(std::string_view line) {
  std::size_t first = line.find(' ');
  std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) refuse("the request line is not method, target and version");
  std::string_view target = line.substr(first + 1, last - first - 1);
  std::string_view version = line.substr(last + 1);
  if (!is_token(line.substr(0, first))) refuse("the method is malformed");
  check_target(line.substr(0, first), target);
  bool well_formed = version.size() == 8 && version.starts_with("HTTP/") && version[6] == '.' && version[5] >= '0' &&
                     version[5] <= '9' && version[7] >= '0' && version[7] <= '9';
  if (!well_formed) refuse("the HTTP version is malformed");
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    refuse("only HTTP/1.0 and HTTP/1.1 are spoken", http_errc::version_unsupported);
  return version.back() == '0';
}

}  // namespace

void check_head(std::string_view head) {
  check_characters(head);
  std::size_t end = head.find("\r\n");
  bool http_1_0 = check_request_line(head.substr(0, end));
  framing seen;
  for (std::string_view rest = head.substr(end + 2); rest.size() > 2;) {
    end = rest.find("\r\n");
    if (end == 0) break;
    check_field(rest.substr(0, end), http_1_0, seen);
    rest.remove_prefix(end + 2);
  }
  if (seen.hosts == 0 && !http_1_0) refuse("Host is missing");
  if (seen.content_length && seen.transfer_encoding) refuse("both Content-Length and Transfer-Encoding");
}

std::size_t find_head_end(std::string_view data) noexcept {
  // A line may end with a bare LF here, so that such a head is refused at once instead of waited for.
  std::size_t from = 0;
  for (;;) {
    const void* found = std::memchr(data.data() + from, '\n', data.size() - from);
    if (found == nullptr) return std::string_view::npos;
    std::size_t at = static_cast<std::size_t>(static_cast<const char*>(found) - data.data());
    if (at + 1 < data.size() && data[at + 1] == '\n') return at + 2;
    if (at + 2 < data.size() && data[at + 1] == '\r' && data[at + 2] == '\n') return at + 3;
    from = at + 1;
    if (from >= data.size()) return std::string_view::npos;
  }
}

}  // namespace penstock::http
