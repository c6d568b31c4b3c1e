#pragma once

// The table that tests of SQLite share.

#include "memory_database.h"
#include <penstock/db/row_batch.h>
#include <penstock/db/table.h>

#include <cstdint>
#include <string_view>

namespace penstock::db {

inline table_definition things() {
  return {"things", "id", {{"name", column_type::text, true}, {"size", column_type::integer, false}}, {"name"}};
}

inline void add(row_batch& rows, std::string_view name, std::int64_t size) {
  rows.add_text(name);
  rows.add_integer(size);
  rows.commit_row();
}

}  // namespace penstock::db
