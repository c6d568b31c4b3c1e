#pragma once

// What was found out about a table, and batches need to know.

#include "penstock/async/scheduler.h"
#include "penstock/db/table.h"
#include "penstock/db/value.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::db::mariadb {

struct text_result;

// How much a text column takes. A server cuts blanks off that exceed it, and tells so in a note alone
// (https://dev.mysql.com/doc/refman/8.0/en/char.html): two keys could become one, so such texts are refused beforehand.
struct text_limit {
  std::string column;
  std::size_t most;
  bool in_bytes;  // and not in characters
};

// A definition that the table was made for, or found to fit.
struct fitting_definition {
  table_definition wanted;
  time_point looked_at;
};

struct known_table {
  std::vector<text_limit> limits = {};
  // BEFORE INSERT, as far as the account may see them; a view is taken to have some. They may choose ids, and do for a
  // row that IGNORE drops what they do for one that is stored.
  bool has_triggers = false;
  bool is_view = false;
  std::string trigger_texts = {};  // of those that are no view's
  time_point asked_for{};          // when
  std::vector<fitting_definition> fits = {};
};

// By their names.
using known_tables = std::map<std::string, known_table, std::less<>>;

// Two statements that ask for it, of a table of the session's database.
std::string known_table_sql(const std::string& table);
known_table known_table_from(const text_result& columns, const text_result& triggers);

// Whether a text of SQL has the column's name in it.
bool names(std::string_view sql, std::string_view column);

// Why a column would cut the cell's end off without an error, if it would; nothing else.
std::optional<std::string> cut_by(const text_limit& limit, const cell& c);

}  // namespace penstock::db::mariadb
