#pragma once

// Short random identifiers for requests and errors, safe in logs, URLs and headers.

#include <cstdint>
#include <string>

namespace penstock {

/// A 13-character identifier of 64 random bits in Crockford's base 32 (digits and lower-case letters without
/// i, l, o and u). The caller brings the randomness: inside a task, `scheduler::current().random()`.
std::string make_id(std::uint64_t random_bits);

}  // namespace penstock
