#pragma once

// The trace that a request is part of, as its fields have it (W3C Trace Context).

#include "penstock/http/request.h"
#include "penstock/observe/request_context.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace penstock::http {

// Hex digits in lower case, not all of them zeros (sections 3.2.2.3 and 3.2.2.4).
bool is_trace_part(std::string_view id, std::size_t digits) noexcept;

// The context of a request with this id and these fields. A trace that is not well formed, or given twice, is none.
request_context context_of(std::string id, std::span<const header_field> fields);

}  // namespace penstock::http
