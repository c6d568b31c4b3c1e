#pragma once

// What the ways to find rows by their key share: see `connection::find_by_key`.

#include "penstock/db/connection.h"
#include "penstock/db/error.h"

#include <string>
#include <vector>

namespace penstock::db {

// Throws `db_errc::syntax` where these are not the values of all columns of the key but the last.
inline void require_start_of_key(const table_definition& in, const parameters& first) {
  if (first.size() + 1 == in.unique_key.size()) return;
  throw database_error(db_errc::syntax, "table '" + in.name + "': its unique key has " +
                                            std::to_string(in.unique_key.size()) + " columns, but " +
                                            std::to_string(first.size()) + " values stand before those of the last");
}

inline std::string list_of_columns(const std::vector<std::string>& columns) {
  std::string list;
  for (const std::string& column : columns) list.append(list.empty() ? "" : ", ").append(quote_identifier(column));
  return list;
}

// "a" = ? AND "b" = ? AND: for what stands before the last column of the key.
inline std::string start_of_key(const table_definition& in) {
  std::string conditions;
  for (std::size_t i = 0; i + 1 < in.unique_key.size(); ++i)
    conditions.append(quote_identifier(in.unique_key[i])).append(" = ? AND ");
  return conditions;
}

}  // namespace penstock::db
