#pragma once

// What databases can't have of a table's definition, whether or not the table is there.

#include "penstock/db/row_batch.h"
#include "penstock/db/table.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::db {

enum class name_unit : std::uint8_t { bytes, characters };

// A sentence for each name, of the table or a column, that is longer than `most`. Each part of "schema.table" counts
// by itself where `has_schemas`.
std::vector<std::string> long_names(const table_definition& definition, std::size_t most, name_unit unit,
                                    bool has_schemas);

// Throws `db_errc::table_drift` that names the table and each fault, when there is one.
void require_no_faults(const table_definition& definition, const std::vector<std::string>& faults);

// The same, where it is there and `differences` say how it does not fit.
void require_no_differences(const table_definition& definition, const std::vector<std::string>& differences);

// Whether they mean the same columns, ids and key, of whatever table.
bool have_the_same_columns(const table_definition& a, const table_definition& b);

// What the unique key is made as: the primary key where the table has no ids, which is what servers tell rows apart by
// that pass changes on to others.
std::string_view kind_of_key(const table_definition& definition);

// Throws `db_errc::data` when the rows have more or fewer cells than the definition has columns.
void require_width(const table_definition& into, const row_batch& rows);

}  // namespace penstock::db
