#pragma once

// Sizes and durations as people write them in a config file or on a command line.

#include "penstock/core/error.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock {

/// Parses a size in bytes: a whole number, or a number with B, KB, MB, GB, TB (powers of 1,000) or KiB, MiB,
/// GiB, TiB (powers of 1,024); spaces before the unit and any case are accepted ("4MiB", "1.5 GB", "512").
/// Throws `error` with `core_errc::bad_unit` for anything else, negative sizes, sizes of 2^63 bytes or more, and what
/// is not 0 and would be rounded to it.
std::uint64_t parse_bytes(std::string_view text);

/// Parses a duration: a number with ns, us, ms, s, m (or min), h or d ("1ms", "1.5s", "2h30m" in descending
/// units). "0" needs no unit. Throws `error` with `core_errc::bad_unit` for anything else, negative ones, and
/// those of 2^63 nanoseconds (292 years) or more, and what is not 0 and would be rounded to it.
std::chrono::nanoseconds parse_duration(std::string_view text);

/// A text that `parse_bytes` reads back as exactly this size: in the largest binary unit that divides it ("4MiB",
/// "1000").
std::string format_bytes(std::uint64_t bytes);

/// A text that `parse_duration` reads back as exactly this duration: in the largest unit that divides it ("1ms",
/// "1500ms", "2h"). Negative ones give "0".
std::string format_duration(std::chrono::nanoseconds duration);

}  // namespace penstock
