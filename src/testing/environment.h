#pragma once

// The environment variables that a run of tests is steered by. One that can't be read is an error, not ignored.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace penstock::testing {

// Unset and empty are the same.
std::optional<std::string> environment_text(const char* name);
// Decimal, or hexadecimal after 0x. Throws `testing_errc::bad_setting` for anything else.
std::optional<std::uint64_t> environment_number(const char* name);
// Separated by commas.
std::vector<std::string> environment_list(const char* name);

}  // namespace penstock::testing
