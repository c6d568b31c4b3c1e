#pragma once

#include "penstock/http/request.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace penstock::ingest {

// Whether a media type, without parameters, means an item a line.
inline bool is_ndjson_type(std::string_view type) noexcept {
  constexpr std::array<std::string_view, 5> known = {"application/x-ndjson", "application/ndjson", "application/jsonl",
                                                     "application/x-jsonlines", "application/json-lines"};
  return std::any_of(known.begin(), known.end(),
                     [&](std::string_view one) { return http::equal_ignoring_case(type, one); });
}

}  // namespace penstock::ingest
