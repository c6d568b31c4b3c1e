#pragma once

// Looking for the few bytes that matter in JSON text, eight at a time where they are rare.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace penstock::ingest {

namespace detail {
inline constexpr std::uint64_t each_byte = 0x0101010101010101;

// A word with the high bit of each byte of `word` set that equals `c`; bits above the first such byte may be wrong.
inline std::uint64_t bytes_equal_to(std::uint64_t word, char c) noexcept {
  std::uint64_t zero_where_equal = word ^ (each_byte * static_cast<unsigned char>(c));
  return (zero_where_equal - each_byte) & ~zero_where_equal & (each_byte * 0x80);
}
}  // namespace detail

/// The first '"' or '\\' of a text; `end` when there is none.
inline const char* find_quote_or_backslash(const char* at, const char* end) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    for (; end - at >= 8; at += 8) {
      std::uint64_t word;
      std::memcpy(&word, at, sizeof(word));
      std::uint64_t found = detail::bytes_equal_to(word, '"') | detail::bytes_equal_to(word, '\\');
      if (found != 0) return at + std::countr_zero(found) / 8;
    }
  }
  while (at < end && *at != '"' && *at != '\\') ++at;
  return at;
}

/// The quote that ends the string which `at` lies in; `end` when it goes on there. `escaped` is whether the byte at
/// `at` follows a backslash, and afterwards, where the string goes on, whether the one at `end` does.
inline const char* skip_string(const char* at, const char* end, bool& escaped) noexcept {
  if (escaped && at < end) {
    escaped = false;
    ++at;
  }
  for (;;) {
    at = find_quote_or_backslash(at, end);
    if (at == end || *at == '"') return at;
    if (end - at < 2) {
      escaped = true;
      return end;
    }
    at += 2;
  }
}

/// The first quote or bracket of a text; `end` when there is none.
inline const char* find_structure(const char* at, const char* end) noexcept {
  auto matters = [](char c) { return c == '"' || (c | 0x20) == '{' || (c | 0x20) == '}'; };  // [ is 0x5B, { is 0x7B
  while (at < end && !matters(*at)) ++at;
  return at;
}

/// How many line feeds a text has.
inline std::uint64_t count_line_feeds(std::string_view text) noexcept {
  std::uint64_t count = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    at = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
    if (at == nullptr) break;
    ++count;
    ++at;
  }
  return count;
}

}  // namespace penstock::ingest
