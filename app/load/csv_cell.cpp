// What is appended is always one whole JSON value, so that no cell can reach into its neighbours.

#include "app/load/csv_cell.h"

#include <penstock/ingest/json_diagnosis.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <simdjson.h>

namespace penstock::app::load {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

std::string_view trimmed(std::string_view cell) noexcept {
  while (cell.starts_with(' ') || cell.starts_with('\t')) cell.remove_prefix(1);
  while (cell.ends_with(' ') || cell.ends_with('\t')) cell.remove_suffix(1);
  return cell;
}

const char* append_integer(std::string_view cell, std::string& body) {
  bool negative = cell.starts_with('-');
  if (negative || cell.starts_with('+')) cell.remove_prefix(1);
  if (cell.empty() || !std::all_of(cell.begin(), cell.end(), is_digit)) return "a whole number";
  cell.remove_prefix(std::min(cell.find_first_not_of('0'), cell.size() - 1));
  if (negative) body.push_back('-');
  body.append(cell);
  return nullptr;
}

// RFC 8259, section 6.
bool is_json_number(std::string_view text) noexcept {
  std::size_t at = text.starts_with('-') ? 1 : 0;
  auto digits = [&] {
    std::size_t begin = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at - begin;
  };
  bool zero = at < text.size() && text[at] == '0';
  std::size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

const char* append_real(std::string_view cell, std::string& body) {
  if (is_json_number(cell)) {
    body.append(cell);
    return nullptr;
  }
  if (cell.starts_with('+') && !cell.starts_with("+-")) cell.remove_prefix(1);
  double value = 0;
  auto [end, failure] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (failure != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value)) return "a number";
  std::array<char, 32> text;
  auto [last, none] = std::to_chars(text.data(), text.data() + text.size(), value);
  body.append(text.data(), last);
  return nullptr;
}

const char* append_boolean(std::string_view cell, std::string& body) {
  std::array<char, 5> lower{};
  if (cell.size() > lower.size()) return "true or false";
  std::transform(cell.begin(), cell.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  std::string_view word(lower.data(), cell.size());
  bool yes = word == "true" || word == "t" || word == "yes" || word == "1";
  if (!yes && word != "false" && word != "f" && word != "no" && word != "0") return "true or false";
  body.append(yes ? "true" : "false");
  return nullptr;
}

const char* append_timestamp(std::string_view cell, std::string& body) {
  if (is_json_number(cell))
    body.append(cell);
  else
    append_json_string(cell, body);
  return nullptr;
}

const char* append_json(std::string_view cell, std::string& body) {
  thread_local simdjson::dom::parser parser;
  thread_local simdjson::padded_string copy;
  copy = simdjson::padded_string(cell);
  // The parser takes no numbers beyond 64 bits; the service does.
  if (parser.parse(copy).error() && ingest::diagnose_json(cell)) return "JSON";
  std::size_t before = body.size();
  body.append(cell);
  // Between the tokens of valid JSON, a line break is the same as a space.
  std::replace(body.begin() + static_cast<std::ptrdiff_t>(before), body.end(), '\n', ' ');
  return nullptr;
}

}  // namespace

const char* append_cell(std::string_view cell, db::column_type type, std::string& body) {
  if (!simdjson::validate_utf8(cell.data(), cell.size())) return "UTF-8";
  switch (type) {
    case db::column_type::integer:
      return append_integer(trimmed(cell), body);
    case db::column_type::real:
      return append_real(trimmed(cell), body);
    case db::column_type::boolean:
      return append_boolean(trimmed(cell), body);
    case db::column_type::timestamp:
      return append_timestamp(trimmed(cell), body);
    case db::column_type::json:
      return append_json(cell, body);
    case db::column_type::text:
    case db::column_type::blob:
      break;
  }
  append_json_string(cell, body);
  return nullptr;
}

void append_json_string(std::string_view text, std::string& body) {
  static constexpr char hex[] = "0123456789abcdef";
  body.push_back('"');
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      body.push_back('\\');
      body.push_back(c);
    } else if (c == '\n') {
      body.append("\\n");
    } else if (byte < 0x20) {
      body.append("\\u00");
      body.push_back(hex[byte >> 4]);
      body.push_back(hex[byte & 15]);
    } else {
      body.push_back(c);
    }
  }
  body.push_back('"');
}

}  // namespace penstock::app::load
