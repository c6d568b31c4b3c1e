#include "penstock/http/problem.h"

#include "answer_head.h"

#include <cstdio>

namespace penstock::http {
namespace {

// The length of the UTF-8 sequence at the front (RFC 3629, 4); 0 when there is none.
std::size_t utf8_sequence(std::string_view text) {
  auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = at(0);
  std::size_t length = first < 0x80                    ? 1
                       : first >= 0xc2 && first < 0xe0 ? 2
                       : first >= 0xe0 && first < 0xf0 ? 3
                       : first >= 0xf0 && first < 0xf5 ? 4
                                                       : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((at(i) & 0xc0) != 0x80) return 0;
  bool overlong = (first == 0xe0 && at(1) < 0xa0) || (first == 0xf0 && at(1) < 0x90);
  bool beyond = (first == 0xed && at(1) >= 0xa0) || (first == 0xf4 && at(1) >= 0x90);
  return overlong || beyond ? 0 : length;
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    char c = text.front();
    std::size_t length = utf8_sequence(text);
    if (length == 0) {
      out += "\\ufffd";
      length = 1;
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out + '"';
}

response to_response(const problem& p) {
  std::string body = R"({"type":"about:blank","title":)" + json_string(reason_phrase(p.status)) +
                     ",\"status\":" + std::to_string(p.status);
  if (!p.code.empty()) body += ",\"code\":" + json_string(p.code);
  if (!p.detail.empty()) body += ",\"detail\":" + json_string(p.detail);
  if (!p.id.empty()) body += ",\"request_id\":" + json_string(p.id);
  for (const auto& [name, json] : p.members) body += "," + json_string(name) + ":" + json;
  return response(p.status, body + "}\n").with("Content-Type", "application/problem+json");
}

problem_error::~problem_error() = default;

problem_error& problem_error::with(std::string name, std::string value) {
  check_answer_field(name, value);
  headers_.emplace_back(std::move(name), std::move(value));
  return *this;
}

}  // namespace penstock::http
