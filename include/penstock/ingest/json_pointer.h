#pragma once

// JSON pointers (RFC 6901), which say where in an item a value stands. Columns take them as they are written; a name
// that is no pointer yet becomes one here.
//
//   pointer_to_member("km/h");   // "/km~1h"

#include <string>
#include <string_view>

namespace penstock::ingest {

/// The pointer to an object's member of this name: '/' and the name, with '~' as "~0" and '/' as "~1" (RFC 6901, 3).
std::string pointer_to_member(std::string_view name);

}  // namespace penstock::ingest
