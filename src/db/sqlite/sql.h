#pragma once

#include "penstock/db/table.h"

#include <cstddef>
#include <string>

namespace penstock::db::sqlite {

// CREATE TABLE IF NOT EXISTS, STRICT: SQLite then refuses values of another type instead of keeping them as they are.
std::string create_table_sql(const table_definition& definition);

// An INSERT of so many rows; a repeated unique key changes nothing.
std::string insert_sql(const table_definition& into, std::size_t rows = 1);

}  // namespace penstock::db::sqlite
