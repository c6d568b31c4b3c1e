#pragma once

#include "penstock/db/row_batch.h"
#include "penstock/db/value.h"

#include <array>
#include <vector>

struct sqlite3_stmt;

namespace penstock::db::sqlite {

// Texts of timestamps, which must stay in place until the statement has been stepped.
using timestamp_texts = std::vector<std::array<char, 32>>;

// Bind what the caller keeps alive until then; nothing is copied. `index` counts from 1.
int bind_cell(sqlite3_stmt* statement, int index, const cell& c, timestamp_texts& texts);
// As `bind_cell`, for a column of that type: SQLITE_MISMATCH when it would keep another value.
int bind_cell_to(sqlite3_stmt* statement, int index, const cell& c, column_type column, timestamp_texts& texts);
int bind_value(sqlite3_stmt* statement, int index, const value& v, timestamp_texts& texts);

// A column of the row that the statement stands at.
value column_value(sqlite3_stmt* statement, int index);

}  // namespace penstock::db::sqlite
