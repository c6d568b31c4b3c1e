#include "idempotency_key.h"

#include "penstock/http/problem.h"
#include "penstock/ingest/error.h"

#include <algorithm>
#include <string_view>

namespace penstock::ingest {
namespace {

constexpr std::size_t longest_key = 255;

[[noreturn]] void refuse(const char* why) {
  throw http::problem_error(400, ingest_errc::bad_idempotency_key, std::string("Idempotency-Key: ") + why);
}

bool is_visible(char c) noexcept { return c > 0x20 && c < 0x7F; }

std::string unquoted(std::string_view field) {
  std::string key;
  for (std::size_t i = 1; i < field.size(); ++i) {
    char c = field[i];
    if (c == '"') {
      std::string_view rest = field.substr(i + 1);
      if (rest.empty() || rest.front() == ';') return key;  // parameters have no meaning here
      refuse("nothing but parameters may follow the closing quote");
    }
    if (c == '\\') {
      c = ++i < field.size() ? field[i] : '\0';
      if (c != '"' && c != '\\') refuse("a backslash stands before a quote or another backslash only");
    }
    if (c != ' ' && !is_visible(c)) refuse("a string holds ASCII characters from space to '~' only");
    key += c;
  }
  refuse("the closing quote is missing");
}

std::string bare(std::string_view field) {
  bool good = std::all_of(field.begin(), field.end(),
                          [](char c) { return is_visible(c) && c != '"' && c != '\\' && c != ',' && c != ';'; });
  if (!good) refuse("send it in double quotes, or without spaces, quotes, commas, semicolons and backslashes");
  return std::string(field);
}

}  // namespace

std::optional<std::string> idempotency_key_of(const http::request& r) {
  std::optional<std::string_view> field;
  for (const http::header_field& h : r.headers()) {
    if (!http::equal_ignoring_case(h.name, "Idempotency-Key")) continue;
    if (field) refuse("there are two of them");
    field = h.value;
  }
  if (!field) return std::nullopt;
  std::string key = field->starts_with('"') ? unquoted(*field) : bare(*field);
  if (key.empty()) refuse("it is empty");
  if (key.size() > longest_key) refuse("it is longer than 255 bytes");
  return key;
}

}  // namespace penstock::ingest
