#pragma once

#include "penstock/db/value.h"

namespace penstock::db {

// A value as a cell, which refers to the value's bytes.
cell as_cell(const value& v) noexcept;

}  // namespace penstock::db
