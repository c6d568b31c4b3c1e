#pragma once

// What others send must not steer the terminal that it is shown on.

#include <string>
#include <string_view>

namespace penstock::app {

/// The text with a '?' for each control character: those of ASCII, and U+0080 to U+009F in UTF-8.
std::string printable(std::string_view text);

}  // namespace penstock::app
