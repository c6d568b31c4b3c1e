#pragma once

#include "penstock/db/table.h"

#include <string>

namespace penstock::db::sqlite {

// CREATE TABLE IF NOT EXISTS, STRICT: SQLite then refuses values of another type instead of keeping them as they are.
std::string create_table_sql(const table_definition& definition);

// One row's INSERT; a repeated unique key changes nothing.
std::string insert_sql(const table_definition& into);

}  // namespace penstock::db::sqlite
