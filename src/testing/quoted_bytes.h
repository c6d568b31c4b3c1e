#pragma once

#include <string>
#include <string_view>

namespace penstock::testing {

// Bytes for a report, in quotes: as C++ writes them, and a long text's middle left out.
std::string quoted_bytes(std::string_view bytes);

}  // namespace penstock::testing
