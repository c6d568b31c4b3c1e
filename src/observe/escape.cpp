// Invariant: whatever bytes come in, what goes out is valid UTF-8 that no reader, terminal or log shipper takes for
// more than one line.

#include "observe/escape.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace penstock::log {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::array<char, 16> hex_digits = {'0', '1', '2', '3', '4', '5', '6', '7',
                                             '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};

bool passes(unsigned char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

void append_unicode_escape(std::string& out, std::uint32_t code) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += hex_digits[code >> shift & 0xf];
}

void append_ascii(std::string& out, char c, escaping style) {
  switch (c) {
    case '"':
    case '\\':
      if (style != escaping::plain) out += '\\';
      out += c;
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      append_unicode_escape(out, static_cast<unsigned char>(c));
  }
}

struct decoded {
  std::uint32_t code = 0;
  std::size_t bytes = 0;  // 0: not valid UTF-8
};

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
decoded decode(std::string_view text) {
  auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  auto continues = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  std::uint32_t first = byte(0);
  if (first >= 0xc2 && first <= 0xdf && continues(1)) return {(first & 0x1f) << 6 | (byte(1) & 0x3f), 2};
  if (first >= 0xe0 && first <= 0xef && continues(1) && continues(2)) {
    std::uint32_t code = (first & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    bool good = code >= 0x800 && (code < 0xd800 || code > 0xdfff);
    return {code, good ? 3U : 0U};
  }
  if (first >= 0xf0 && first <= 0xf4 && continues(1) && continues(2) && continues(3)) {
    std::uint32_t code = (first & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
    bool good = code >= 0x10000 && code <= 0x10ffff;
    return {code, good ? 4U : 0U};
  }
  return {};
}

bool harmful(std::uint32_t code) {
  return code <= 0x9f                                                                 // C1 controls, NEL among them
         || code == 0x2028 || code == 0x2029                                          // line and paragraph separator
         || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)  // direction overrides
         || code == 0xfeff;                                                           // byte order mark
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t bytes = static_cast<unsigned char>(text[i]) < 0x80 ? 1 : decode(text.substr(i)).bytes;
    if (bytes == 0) out += replacement;
    out.append(text, i, bytes);
    i += std::max<std::size_t>(bytes, 1);
  }
  return out;
}

void append_escaped(std::string& out, std::string_view text, escaping style, std::size_t most_bytes) {
  std::size_t i = 0;
  std::size_t end = text.size() < most_bytes ? text.size() : most_bytes;
  while (i < end) {
    std::size_t start = i;
    while (i < end && passes(static_cast<unsigned char>(text[i]))) ++i;
    out.append(text, start, i - start);
    if (i == end) break;
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      append_ascii(out, text[i++], style);
      continue;
    }
    decoded d = decode(text.substr(i));
    if (d.bytes == 0) {
      out += replacement;
      ++i;
    } else if (harmful(d.code)) {
      append_unicode_escape(out, d.code);
      i += d.bytes;
    } else {
      out.append(text, i, d.bytes);
      i += d.bytes;
    }
  }
  if (i < text.size()) out += "... (" + std::to_string(text.size() - i) + " bytes cut)";
}

}  // namespace penstock::log
