#include "penstock/http/request.h"

#include "field_syntax.h"
#include "penstock/http/error.h"

#include <algorithm>

namespace penstock::http {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

std::string percent_decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
      if (low < 0) throw protocol_error(http_errc::bad_request, "the target has a malformed percent-escape");
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return decoded;
}

std::optional<std::string_view> request::header(std::string_view name) const noexcept {
  for (const header_field& field : headers_)
    if (equal_ignoring_case(field.name, name)) return field.value;
  return std::nullopt;
}

std::string_view request::parameter(std::string_view name) const noexcept {
  for (const auto& [key, value] : parameters_)
    if (key == name) return value;
  return {};
}

std::vector<std::pair<std::string, std::string>> request::query_parameters() const {
  std::vector<std::pair<std::string, std::string>> all;
  std::string_view rest = query_;
  while (!rest.empty()) {
    std::size_t end = std::min(rest.find('&'), rest.size());
    std::string_view one = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (one.empty()) continue;
    std::size_t equals = std::min(one.find('='), one.size());
    std::string_view value = equals < one.size() ? one.substr(equals + 1) : std::string_view();
    all.emplace_back(percent_decode(one.substr(0, equals), true), percent_decode(value, true));
  }
  return all;
}

task<std::string> body_reader::read_all(std::size_t limit) {
  std::string all;
  for (;;) {
    std::string_view piece = co_await read_some();
    if (piece.empty()) co_return all;
    if (piece.size() > limit - all.size())
      throw protocol_error(http_errc::body_too_large, "the body is longer than " + std::to_string(limit) + " bytes");
    all += piece;
  }
}

}  // namespace penstock::http
