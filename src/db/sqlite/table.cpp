#include "../definition_faults.h"
#include "failure.h"
#include "penstock/db/error.h"
#include "session.h"
#include "sql.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <sqlite3.h>

// Makes a table, or says how the one that exists differs.

namespace penstock::db::sqlite {
namespace {

bool holds_text(column_type type) noexcept { return type == column_type::text || type == column_type::json; }

std::vector<existing_column> columns_of(session& s, const std::string& table) {
  result found = s.query(
      "SELECT name, type, \"notnull\" AND hidden = 0, dflt_value, pk FROM pragma_table_xinfo(?1) WHERE hidden <> 1",
      {table});
  std::vector<existing_column> columns;
  for (auto& row : found.rows) {
    bool has_default = !std::holds_alternative<std::monostate>(row[3]);
    bool primary = std::get<std::int64_t>(row[4]) != 0;
    columns.push_back({std::get<std::string>(row[0]), std::get<std::string>(row[1]),
                       std::get<std::int64_t>(row[2]) != 0 && !has_default && !primary});
  }
  return columns;
}

struct unique_key {
  std::vector<std::string> columns;
  std::vector<std::string> collations;  // of each column
};

// Without the indexes that cover only some rows. An expression in an index has no name: it stands as "", which is no
// column's. An INTEGER PRIMARY KEY has no index.
std::vector<unique_key> unique_keys_of(session& s, const std::string& table) {
  result found = s.query(
      "SELECT -1 AS key, name, pk AS place, 'BINARY' FROM pragma_table_info(?1) WHERE pk AND NOT EXISTS "
      "(SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk') UNION ALL "
      "SELECT l.seq, ifnull(i.name, ''), i.seqno, i.coll FROM pragma_index_list(?1) AS l "
      "JOIN pragma_index_xinfo(l.name) AS i WHERE l.\"unique\" AND NOT l.partial AND i.key ORDER BY key, place",
      {table});
  std::vector<unique_key> keys;
  std::int64_t last = 0;
  for (auto& row : found.rows) {
    if (keys.empty() || std::get<std::int64_t>(row[0]) != last) keys.emplace_back();
    last = std::get<std::int64_t>(row[0]);
    keys.back().columns.push_back(std::get<std::string>(row[1]));
    keys.back().collations.push_back(std::get<std::string>(row[3]));
  }
  return keys;
}

std::vector<std::vector<std::string>> columns_of(const std::vector<unique_key>& keys) {
  std::vector<std::vector<std::string>> columns;
  columns.reserve(keys.size());
  for (const unique_key& key : keys) columns.push_back(key.columns);
  return columns;
}

// Others ignore the case of letters, or blanks at the end: an item would be called a duplicate of another one.
std::vector<std::string> collation_differences(const table_definition& wanted, const std::vector<unique_key>& keys) {
  std::vector<std::string> differences;
  for (const unique_key& key : keys) {
    if (!std::is_permutation(key.columns.begin(), key.columns.end(), wanted.unique_key.begin(), wanted.unique_key.end(),
                             same_name))
      continue;
    for (std::size_t i = 0; i < key.columns.size(); ++i)
      for (const table_column& column : wanted.columns)
        if (same_name(column.name, key.columns[i]) && holds_text(column.type) &&
            !same_name(key.collations[i], "BINARY"))
          differences.push_back("column '" + column.name + "' of the unique key has the collation " +
                                key.collations[i] + ", which takes different texts for the same: use BINARY");
  }
  return differences;
}

// Such a table refuses what its columns' types are not (https://www.sqlite.org/stricttables.html).
bool is_strict(session& s, const std::string& table) {
  result found = s.query("SELECT ifnull(max(strict), 0) FROM pragma_table_list(?1)", {table});
  return std::get<std::int64_t>(found.rows.at(0).at(0)) != 0;
}

bool strictly_keeps(std::string_view declared, column_type type) {
  if (same_name(declared, "ANY")) return true;
  switch (type) {
    case column_type::integer:
    case column_type::boolean:
      return same_name(declared, "INTEGER") || same_name(declared, "INT");
    case column_type::real:
      return same_name(declared, "REAL");
    case column_type::blob:
      return same_name(declared, "BLOB");
    default:
      return same_name(declared, "TEXT");
  }
}

// True where a column of this declared type would keep a value as another one than was given: its affinity turns
// numbers into text, whole numbers into reals, or text that looks like a number into one
// (https://www.sqlite.org/datatype3.html, 3.1).
bool would_change(std::string declared, column_type type) {
  for (char& c : declared) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  auto says = [&](const char* part) { return declared.find(part) != std::string::npos; };
  bool whole = says("INT");
  bool text = !whole && (says("CHAR") || says("CLOB") || says("TEXT"));
  bool real = !whole && !text && (says("REAL") || says("FLOA") || says("DOUB"));
  bool number = !whole && !text && !real && !declared.empty() && !says("BLOB");  // NUMERIC, which "JSON" means too
  bool number_given = type == column_type::integer || type == column_type::real || type == column_type::boolean;
  if (number_given) return text || (real && type == column_type::integer);
  if (number) return type == column_type::text || type == column_type::json;
  return (whole || real) && type != column_type::blob;
}

std::vector<std::string> generated_columns(session& s, const table_definition& wanted) {
  result found = s.query("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden IN (2, 3)", {wanted.name});
  std::vector<std::string> differences;
  for (const table_column& column : wanted.columns)
    for (const auto& row : found.rows)
      if (same_name(std::get<std::string>(row[0]), column.name))
        differences.push_back("column '" + column.name + "' is generated: leave it out");
  return differences;
}

// Of the table that an INSERT would mean.
bool is_view(session& s, const std::string& table) {
  result found = s.query("SELECT type = 'view' FROM pragma_table_list(?) ORDER BY schema <> 'temp' LIMIT 1", {table});
  return std::get<std::int64_t>(found.rows.at(0).at(0)) != 0;
}

// True when the column is the rowid by another name, which alone is given numbers
// (https://www.sqlite.org/lang_createtable.html, ROWIDs and the INTEGER PRIMARY KEY).
bool gives_ids(session& s, const table_definition& wanted) {
  result found = s.query(
      "SELECT count(*) = 1 AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk') "
      "FROM pragma_table_info(?1) WHERE pk AND upper(type) = 'INTEGER' AND name = ?2 COLLATE NOCASE "
      "AND NOT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE pk > 1)",
      {wanted.name, wanted.id_column});
  return std::get<std::int64_t>(found.rows.at(0).at(0)) != 0;
}

std::vector<std::string> type_differences(const table_definition& wanted, const std::vector<existing_column>& existing,
                                          bool strict) {
  auto keeps = [strict](const std::string& declared, column_type type) {
    return strict ? strictly_keeps(declared, type) : !would_change(declared, type);
  };
  std::vector<std::string> differences;
  for (const table_column& column : wanted.columns)
    for (const existing_column& there : existing)
      if (same_name(there.name, column.name) && !keeps(there.declared_type, column.type))
        differences.push_back("column '" + column.name + "' is " + there.declared_type + ", which does not keep " +
                              std::string(name_of(column.type)) + " values as they are");
  return differences;
}

// Of 66 code points the library makes another one when it turns a text into UTF-16.
std::string encoding_difference(session& s) {
  result found = s.query("SELECT encoding FROM pragma_encoding", {});
  const auto& encoding = std::get<std::string>(found.rows.at(0).at(0));
  if (encoding == "UTF-8") return {};
  return "the encoding of its file is " + encoding + ", which does not keep every text as it is: only UTF-8 does";
}

}  // namespace

// A foreign key, or a trigger, may name a table that is not there; SQLite tells when it prepares a statement. EXPLAIN
// is no way to ask: of a table with generated columns it reads what it has let go of (3.40).
std::string session::refusal_to_insert(const table_definition& definition) {
  try {
    sqlite3_finalize(compile(insert_sql(definition, 1)));
  } catch (const database_error& e) {
    if (e.errc() != db_errc::syntax) throw;
    return "it takes no rows: " + e.message();
  }
  return {};
}

void session::prepare_table(const table_definition& definition) {
  require_writable();
  execute(create_table_sql(definition), {});
  std::int64_t version = schema_version();
  require_no_differences(definition, differences_of(definition));
  note_compared(definition, version);
  std::lock_guard lock(where_.kept->mutex);
  where_.kept->fits.note_fit(definition);
}

// Another process may have made the table anew, and another file may be at the path.
void session::require_fit(const table_definition& into) {
  {
    std::lock_guard lock(where_.kept->mutex);
    if (!where_.kept->fits.did_fit(into)) return;
  }
  std::int64_t version = schema_version();
  if (version == compared_in_ && compared_.did_fit(into)) return;
  require_no_differences(into, differences_of(into));
  note_compared(into, version);
}

void session::note_compared(const table_definition& fitting, std::int64_t version) {
  if (std::exchange(compared_in_, version) != version) compared_ = {};
  compared_.note_fit(fitting);
}

std::int64_t session::schema_version() {
  result found = query("PRAGMA schema_version", {});
  return std::get<std::int64_t>(found.rows.at(0).at(0));
}

std::vector<std::string> session::differences_of(const table_definition& definition) {
  std::vector<existing_column> existing = columns_of(*this, definition.name);
  if (existing.empty()) return {};
  choose_double_quotes();
  std::vector<unique_key> keys = unique_keys_of(*this, definition.name);
  std::vector<std::string> differences = table_differences(definition, existing, columns_of(keys));
  if (!definition.id_column.empty() && differences.empty() && !gives_ids(*this, definition))
    differences.push_back("column '" + definition.id_column + "' is no INTEGER PRIMARY KEY, so it gets no numbers");
  if (is_view(*this, definition.name))
    differences = {"it is a view: how many rows an INSTEAD OF trigger stores is not told; name the table behind it"};
  bool strict = is_strict(*this, definition.name);
  for (std::string& difference : type_differences(definition, existing, strict))
    differences.push_back(std::move(difference));
  for (std::string& difference : collation_differences(definition, keys)) differences.push_back(std::move(difference));
  for (std::string& difference : generated_columns(*this, definition)) differences.push_back(std::move(difference));
  if (std::string difference = encoding_difference(*this); !difference.empty())
    differences.push_back(std::move(difference));
  if (differences.empty()) {
    std::string difference = refusal_to_insert(definition);
    if (!difference.empty()) differences.push_back(std::move(difference));
  }
  return differences;
}

}  // namespace penstock::db::sqlite
