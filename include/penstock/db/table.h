#pragma once

// Tables as Penstock makes and checks them.

#include "penstock/db/value.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::db {

/// A column of a table.
struct table_column {
  std::string name;
  column_type type = column_type::text;
  bool required = false;  ///< NOT NULL.
  /// Whoever writes gives it, as the time, and not what a row is made from: where no partition takes it, the table is
  /// at fault (`db_errc::table_drift`), and no row is refused.
  bool given_by_writer = false;
};

/// A table to be made, or to be written to. Columns are listed in the order in which batches give their cells.
struct table_definition {
  std::string name;
  std::string id_column = "id";         ///< Generated, ascending primary key; empty for none.
  std::vector<table_column> columns;    ///< Without the id.
  std::vector<std::string> unique_key;  ///< Columns that are unique together; empty for none.
};

/// A column that the database has.
struct existing_column {
  std::string name;
  std::string declared_type;  ///< As the database writes it.
  bool required = false;      ///< NOT NULL and without a default.
};

/// Whether two names are one to SQL that compares the names of columns without the case of ASCII letters, as SQLite and
/// MariaDB do, in quotes too.
bool same_name(std::string_view a, std::string_view b) noexcept;

/// How a database tells the names of columns apart.
enum class name_case : std::uint8_t {
  ignored,  ///< By `same_name`: SQLite, MariaDB, MySQL.
  kept,     ///< Letter by letter: names in quotes on PostgreSQL.
};

/// What stands between a definition and the table that exists: a sentence for each difference that would make
/// inserting fail or store something else; empty when it fits. `unique_keys` are the column lists of the table's unique
/// indexes.
std::vector<std::string> table_differences(const table_definition& wanted, const std::vector<existing_column>& existing,
                                           const std::vector<std::vector<std::string>>& unique_keys,
                                           name_case names = name_case::ignored);

/// An identifier in double quotes, with quotes in it doubled (SQL:2016, 5.2 <delimited identifier>).
std::string quote_identifier(std::string_view name);

}  // namespace penstock::db
