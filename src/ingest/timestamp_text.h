#pragma once

// Points in time as JSON carries them.

#include "penstock/db/value.h"

#include <cstdint>
#include <string_view>

namespace penstock::ingest {

/// How reading a point in time ended.
enum class timestamp_verdict { good, malformed, out_of_range };

/// Reads an RFC 3339 date-time with 'Z' or an offset: "2026-01-31T09:30:00.25+01:00". A space or a small letter may
/// stand for 'T' and 'Z' (RFC 3339, 5.6). Digits beyond microseconds are dropped; 23:59:60 UTC is the next midnight.
/// Out of range: a field that does not exist (February 30), or UTC years before 1 or after 9999.
timestamp_verdict parse_timestamp(std::string_view text, db::timestamp& into) noexcept;

/// Milliseconds since 1970, UTC. Out of range as above.
timestamp_verdict timestamp_of_milliseconds(std::int64_t milliseconds, db::timestamp& into) noexcept;

}  // namespace penstock::ingest
