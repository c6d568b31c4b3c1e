#pragma once

// Cells of another kind than their column: what they may be taken for, as they are.

#include "penstock/db/value.h"

#include <cstdint>
#include <string_view>

namespace penstock::db {

// For messages: "a real number".
std::string_view name_of(cell::kind kind) noexcept;

// A boolean, or 0 or 1.
bool is_truth(const cell& c) noexcept;

// Whether a real has room for all of its digits.
bool is_exact_as_real(std::int64_t n) noexcept;

}  // namespace penstock::db
