#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace penstock::log {

// The quoting rules of a line format, between the quotes.
enum class escaping {
  plain,   // A message in text format: quotes and backslashes stay, what would break the line is escaped.
  quoted,  // A value in double quotes in text format.
  json,    // The inside of a JSON string.
};

// The text with U+FFFD for each byte that is no part of valid UTF-8.
std::string valid_utf8(std::string_view text);

// Appends text as valid UTF-8 without control characters, line separators, or characters that change the direction of
// text, cut at `most_bytes`.
void append_escaped(std::string& out, std::string_view text, escaping style, std::size_t most_bytes);

}  // namespace penstock::log
