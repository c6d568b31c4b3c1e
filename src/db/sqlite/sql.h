#pragma once

#include "penstock/db/table.h"

#include <cstddef>
#include <string>

namespace penstock::db::sqlite {

// CREATE TABLE IF NOT EXISTS, STRICT: SQLite then refuses values of another type instead of keeping them as they are.
std::string create_table_sql(const table_definition& definition);

// Whose word counts where a row breaks a constraint: the statement's, which is ABORT, or that of what is declared, in
// the table and in statements of its triggers. One that the statement has goes before both
// (https://www.sqlite.org/lang_createtrigger.html).
enum class on_conflict { abort, as_declared };

// An INSERT of so many rows; a repeated unique key changes nothing.
std::string insert_sql(const table_definition& into, std::size_t rows = 1, on_conflict how = on_conflict::abort);

}  // namespace penstock::db::sqlite
