#include "wire_text.h"

#include "calendar.h"
#include "utf8.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

namespace penstock::db::mariadb {
namespace {

// What a packet takes beside one value.
constexpr std::size_t packet_margin = 4'096;

template <class Number, class... Format>
void append_number(std::string& to, Number number, Format... format) {
  char text[32];
  auto [end, failed] = std::to_chars(text, text + sizeof(text), number, format...);
  to.append(text, end);
}

void append_datetime(std::string& to, std::int64_t microseconds) {
  char text[26];
  write_datetime(*to_datetime(timestamp(std::chrono::microseconds(microseconds))), text);
  to.append(text, sizeof(text));
}

// For each byte: what follows a backslash in its place, or 0 for one that stands for itself.
using escapes = std::array<char, 256>;

constexpr escapes literal_escapes = [] {
  escapes e{};
  e['\0'] = '0';
  e['\''] = '\'';
  e['\\'] = '\\';
  return e;
}();

constexpr escapes field_escapes = [] {
  escapes e{};
  e['\0'] = '0';
  e['\t'] = 't';
  e['\n'] = 'n';
  e['\\'] = '\\';
  return e;
}();

void append_escaped(std::string& to, std::string_view text, const escapes& by) {
  const char* start = text.data();
  const char* end = start + text.size();
  for (const char* at = start; at != end; ++at) {
    char escape = by[static_cast<unsigned char>(*at)];
    if (escape == 0) continue;
    to.append(start, at);
    to.push_back('\\');
    to.push_back(escape);
    start = at + 1;
  }
  to.append(start, end);
}

}  // namespace

std::optional<std::string> unstorable(const cell& c, std::size_t max_packet) {
  switch (c.type) {
    case cell::kind::real:
      if (!std::isfinite(c.real)) return "MariaDB and MySQL have no number that is infinite or no number";
      return std::nullopt;
    case cell::kind::timestamp: {
      timestamp t{std::chrono::microseconds(c.integer)};
      if (!to_datetime(t)) return format_timestamp(t) + ": the years of MariaDB and MySQL are 1 to 9999";
      return std::nullopt;
    }
    case cell::kind::text:
      if (!is_utf8(c.text())) return "a text that is not UTF-8";
      break;
    case cell::kind::blob:
      break;
    default:
      return std::nullopt;
  }
  if (c.size + packet_margin <= max_packet) return std::nullopt;
  return "a value of " + std::to_string(c.size) + " bytes does not fit into the server's max_allowed_packet of " +
         std::to_string(max_packet);
}

void append_literal(std::string& to, const cell& c) {
  switch (c.type) {
    case cell::kind::null:
      to += "NULL";
      break;
    case cell::kind::integer:
    case cell::kind::boolean:
      append_number(to, c.integer);
      break;
    case cell::kind::real:
      // Without an exponent it would be a DECIMAL.
      append_number(to, c.real, std::chars_format::scientific);
      break;
    case cell::kind::timestamp:
      to.push_back('\'');
      append_datetime(to, c.integer);
      to.push_back('\'');
      break;
    case cell::kind::blob:
      to += "_binary";
      [[fallthrough]];
    case cell::kind::text:
      append_quoted(to, c.text());
      break;
  }
}

void append_field(std::string& to, const cell& c) {
  switch (c.type) {
    case cell::kind::null:
      to += "\\N";
      break;
    case cell::kind::integer:
    case cell::kind::boolean:
      append_number(to, c.integer);
      break;
    case cell::kind::real:
      append_number(to, c.real);
      break;
    case cell::kind::timestamp:
      append_datetime(to, c.integer);
      break;
    case cell::kind::blob:
    case cell::kind::text:
      append_escaped(to, c.text(), field_escapes);
      break;
  }
}

void append_quoted(std::string& to, std::string_view text) {
  to.push_back('\'');
  append_escaped(to, text, literal_escapes);
  to.push_back('\'');
}

std::int64_t number_in(const std::optional<std::string>& text) noexcept {
  std::int64_t number = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), number);
  return number;
}

// The length goes first, so that two parts are never read as two others.
void append_key_part(std::string& to, cell::kind kind, std::string_view server_text) {
  if (kind != cell::kind::real) {
    append_number(to, server_text.size());
    to.append(":").append(server_text);
    return;
  }
  double number = 0;
  std::from_chars(server_text.data(), server_text.data() + server_text.size(), number);
  append_number(to, number == 0 ? 0.0 : number);
  to.push_back(':');
}

void append_key_part(std::string& to, const cell& c) {
  std::string text;
  append_literal(text, c);
  std::string_view shown = text;
  if (c.type == cell::kind::text || c.type == cell::kind::blob) shown = c.text();
  if (c.type == cell::kind::timestamp) shown = shown.substr(1, shown.size() - 2);
  append_key_part(to, c.type, shown);
}

}  // namespace penstock::db::mariadb
