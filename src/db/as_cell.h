#pragma once

#include "penstock/db/value.h"

#include <string_view>

namespace penstock::db {

// A value as a cell, which refers to the value's bytes.
cell as_cell(const value& v) noexcept;

// For messages: "a real number".
std::string_view name_of(cell::kind kind);

}  // namespace penstock::db
