#include "quoted_bytes.h"

#include <cstddef>

namespace penstock::testing {
namespace {

constexpr std::size_t most_shown = 400;

void append_escaped(std::string& out, std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '\r')
      out += "\\r";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (byte >= 0x20 && byte < 0x7f)
      out += c;
    else
      ((out += "\\x") += digits[byte >> 4]) += digits[byte & 15];
  }
}

}  // namespace

std::string quoted_bytes(std::string_view bytes) {
  std::string out = "\"";
  if (bytes.size() <= most_shown) {
    append_escaped(out, bytes);
    return out + '"';
  }
  append_escaped(out, bytes.substr(0, most_shown / 2));
  out += "\" … " + std::to_string(bytes.size() - most_shown) + " bytes … \"";
  append_escaped(out, bytes.substr(bytes.size() - most_shown / 2));
  return out + '"';
}

}  // namespace penstock::testing
