#include "known_table.h"

#include <algorithm>

namespace penstock::db::mariadb {
namespace {

// What some character set of a column takes for a blank: U+00A0 too, in those of one byte.
bool ends_blank(std::string_view text) noexcept {
  return !text.empty() &&
         (std::string_view(" \t\n\v\f\r").find(text.back()) != std::string_view::npos || text.ends_with("\xc2\xa0"));
}

std::size_t characters_in(std::string_view text) noexcept {
  auto begins_one = [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; };
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_one));
}

}  // namespace

std::optional<std::string> cut_by(const text_limit& limit, const cell& c) {
  if (c.type != cell::kind::text || c.size <= limit.most || !ends_blank(c.text())) return std::nullopt;
  std::size_t size = limit.in_bytes ? c.size : characters_in(c.text());
  if (size <= limit.most) return std::nullopt;
  const char* unit = limit.in_bytes ? " bytes" : " characters";
  return "Data too long for column '" + limit.column + "': it takes " + std::to_string(limit.most) + unit +
         ", blanks at the end too";
}

}  // namespace penstock::db::mariadb
