#include "insert_plan.h"

#include "../definition_faults.h"
#include "penstock/core/outcome.h"
#include "session.h"

#include <algorithm>

// Arrays in their binary format (array_recv in src/backend/utils/adt/arrayfuncs.c): the number of dimensions, whether
// there are nulls, the elements' type, and for the one dimension its size and its first index; then each element's size
// (-1 for null) and bytes.

namespace penstock::db::postgres {
namespace {

constexpr std::size_t number_of_rows_at = 12;

// That of the column where moments are concerned: the session's time zone would move one that is cast.
Oid element_type(Oid type) {
  switch (wire_type_of(type)) {
    case wire_type::boolean:
      return bool_oid;
    case wire_type::int2:
      return int2_oid;
    case wire_type::int4:
      return int4_oid;
    case wire_type::int8:
      return int8_oid;
    case wire_type::float4:
      return float4_oid;
    case wire_type::float8:
      return float8_oid;
    case wire_type::bytea:
      return bytea_oid;
    case wire_type::timestamp:
      return type;
    case wire_type::text:
    case wire_type::other:
      break;
  }
  return text_oid;
}

std::string_view element_name(Oid type) {
  switch (wire_type_of(type)) {
    case wire_type::boolean:
      return "boolean";
    case wire_type::int2:
      return "smallint";
    case wire_type::int4:
      return "integer";
    case wire_type::int8:
      return "bigint";
    case wire_type::float4:
      return "real";
    case wire_type::float8:
      return "double precision";
    case wire_type::bytea:
      return "bytea";
    case wire_type::timestamp:
      return type == timestamp_oid ? "timestamp" : "timestamptz";
    case wire_type::text:
    case wire_type::other:
      break;
  }
  return "text";
}

// An assignment casts a text to a character type and checks its length; to any other type only a cast does.
bool needs_cast(Oid type) { return type == json_oid || wire_type_of(type) == wire_type::other; }

std::string column_list(const table_definition& into, bool with_id) {
  std::string list = with_id ? quote_identifier(into.id_column) : std::string();
  for (const table_column& column : into.columns) list += (list.empty() ? "" : ", ") + quote_identifier(column.name);
  return list;
}

std::string on_conflict(const table_definition& into) {
  if (into.unique_key.empty()) return {};
  std::string names;
  for (const std::string& name : into.unique_key) names += (names.empty() ? "" : ", ") + quote_identifier(name);
  return " ON CONFLICT (" + names + ") DO NOTHING";
}

std::string returning_id(const table_definition& into) {
  return into.id_column.empty() ? std::string() : " RETURNING " + quote_identifier(into.id_column);
}

}  // namespace

std::string in_quotes(const std::string& text) {
  std::string quoted = "'";
  for (char c : text) quoted.append(c == '\'' ? 2 : 1, c);
  return quoted + "'";
}

database_error not_all_stored(const table_definition& into) {
  return {db_errc::other, "PostgreSQL, insert into " + into.name +
                              ": rows were accepted but not stored; take away the trigger or rule that drops them"};
}

database_error altered_meanwhile(const table_definition& into) {
  return {db_errc::serialization,
          "PostgreSQL, insert into " + into.name + ": the table was altered meanwhile; the batch is to be stored anew"};
}

database_error to_be_stored_anew(const std::exception_ptr& failure) {
  const auto* e = penstock::detail::exception_as<database_error>(failure);
  return {db_errc::serialization, e->message() + "; the batch is to be stored anew", 0, e->sqlstate(), failure};
}

bool insert_plan::is_for(const table_definition& t) const {
  return into.name == t.name && have_the_same_columns(into, t);
}

std::string insert_plan::cuts(std::span<const cell> row) const {
  for (const column_length& length : lengths) {
    const cell& c = row[length.column];
    if (c.type != cell::kind::text || c.size <= length.characters || !c.text().ends_with(' ')) continue;
    std::string_view text = c.text();
    auto begins_character = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; };  // UTF-8
    auto characters = static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
    std::size_t blanks = text.size() - (text.find_last_not_of(' ') + 1);
    if (characters <= length.characters || characters - blanks > length.characters) continue;
    return "column '" + into.columns[length.column].name + "': it takes " + std::to_string(length.characters) +
           " characters, blanks at the end too";
  }
  return {};
}

std::string one_row_sql(const table_definition& into) {
  std::string places;
  for (std::size_t i = 0; i < into.columns.size(); ++i) places += places.empty() ? "?" : ", ?";
  return "INSERT INTO " + quote_table(into.name) + " (" + column_list(into, false) + ") VALUES (" + places + ")" +
         on_conflict(into) + returning_id(into);
}

std::string many_rows_sql(const table_definition& into, const std::vector<Oid>& types,
                          const std::vector<std::string>& casts, const std::string& sequence) {
  std::string arrays, names, values;
  for (std::size_t i = 0; i < types.size(); ++i) {
    std::string separator = i == 0 ? "" : ", ";
    std::string name = "c" + std::to_string(i);
    arrays += separator + "?::" + std::string(element_name(types[i])) + "[]";
    names += separator + name;
    values += separator + name + (needs_cast(types[i]) ? casts[i] : "");
  }
  std::string table = quote_table(into.name);
  if (into.unique_key.empty())
    return "INSERT INTO " + table + " (" + column_list(into, false) + ") SELECT " + values + " FROM unnest(" + arrays +
           ") AS given(" + names + ")" + returning_id(into);
  // Ids that are known beforehand tell which rows were stored.
  if (into.id_column.empty() || sequence.empty()) return {};
  return "WITH given AS MATERIALIZED (SELECT nextval(" + in_quotes(sequence) + "::regclass) AS id, u.* FROM unnest(" +
         arrays + ") WITH ORDINALITY AS u(" + names + ", place)), stored AS (INSERT INTO " + table + " (" +
         column_list(into, true) + ") OVERRIDING SYSTEM VALUE SELECT id, " + values + " FROM given" +
         on_conflict(into) + " RETURNING " + quote_identifier(into.id_column) +
         " AS id) SELECT place, id FROM stored LEFT JOIN given USING (id)";
}

std::string missing_keys_sql(const table_definition& into, const std::vector<Oid>& types,
                             const std::vector<std::string>& type_names) {
  std::string arrays, names, same;
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::string& column = into.columns[i].name;
    if (std::find(into.unique_key.begin(), into.unique_key.end(), column) == into.unique_key.end()) continue;
    std::string name = "c" + std::to_string(i);
    arrays += (arrays.empty() ? "?::" : ", ?::") + std::string(element_name(types[i])) + "[]";
    names += (names.empty() ? "" : ", ") + name;
    same += (same.empty() ? "" : " AND ") + ("there." + quote_identifier(column)) + " = given." + name +
            (needs_cast(types[i]) ? "::" + type_names[i] : "");
  }
  return "SELECT place FROM unnest(" + arrays + ") WITH ORDINALITY AS given(" + names +
         ", place) WHERE NOT EXISTS (SELECT 1 FROM " + quote_table(into.name) + " AS there WHERE " + same + ")";
}

std::string copy_sql(const table_definition& into, const std::vector<Oid>& types, bool with_id) {
  bool all_binary = std::all_of(types.begin(), types.end(),
                                [](Oid type) { return type == jsonb_oid || wire_type_of(type) != wire_type::other; });
  if (!all_binary || !into.unique_key.empty()) return {};
  return "COPY " + quote_table(into.name) + " (" + column_list(into, with_id) + ") FROM STDIN (FORMAT binary)";
}

// The numbers are made in the list and not in FROM, which would store them all first; and the array alone is cheaper
// than the least and the greatest id.
std::string reserve_ids_sql(const std::string& sequence, std::size_t count) {
  std::string last = std::to_string(count);
  return "SELECT ids[1], CASE WHEN ids[" + last + "] - ids[1] <> " + std::to_string(count - 1) +
         " THEN ids END FROM (SELECT array_agg(id) AS ids FROM (SELECT nextval(" + in_quotes(sequence) +
         "::regclass) AS id, generate_series(1, " + last + ")) AS taken) AS listed";
}

void row_arrays::start(const insert_plan& plan) {
  columns_.resize(plan.types.size());
  rows_ = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::string& bytes = columns_[i].bytes;
    bytes.clear();
    append_int32(bytes, 1);  // dimension
    append_int32(bytes, 1);  // nulls may follow
    append_int32(bytes, static_cast<std::int32_t>(element_type(plan.types[i])));
    append_int32(bytes, 0);  // the number of rows, when it is known
    append_int32(bytes, 1);
  }
}

std::string row_arrays::add(const insert_plan& plan, std::span<const cell> row) {
  if (std::string why = plan.cuts(row); !why.empty()) return why;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    column& c = columns_[i];
    c.before_row = c.bytes.size();
    if (row[i].type == cell::kind::null) {
      append_int32(c.bytes, -1);
      continue;
    }
    c.bytes.append(4, '\0');
    std::string why = append_value(c.bytes, row[i], plan.as[i]);
    if (!why.empty()) {
      for (std::size_t k = 0; k <= i; ++k) columns_[k].bytes.resize(columns_[k].before_row);
      return "column '" + plan.into.columns[i].name + "': " + why;
    }
    write_size(c.bytes, c.before_row, c.bytes.size() - c.before_row - 4);
  }
  ++rows_;
  return {};
}

bound_values row_arrays::bound() {
  pointers_.clear();
  lengths_.clear();
  formats_.assign(columns_.size(), 1);
  for (column& c : columns_) {
    write_size(c.bytes, number_of_rows_at, rows_);
    pointers_.push_back(c.bytes.data());
    lengths_.push_back(static_cast<int>(c.bytes.size()));
  }
  return {static_cast<int>(columns_.size()), pointers_.data(), lengths_.data(), formats_.data()};
}

}  // namespace penstock::db::postgres
