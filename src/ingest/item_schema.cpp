#include "penstock/ingest/item_schema.h"

#include "compiled_stream.h"
#include "penstock/core/nearest.h"
#include "penstock/ingest/error.h"
#include "penstock/ingest/item_parser.h"
#include "penstock/ingest/json_diagnosis.h"

#include <algorithm>

// Everything that can be wrong with a definition is found here, at start, so that the parser need not ask again.

namespace penstock::ingest {
namespace {

constexpr std::size_t longest_stream_name = 64;
constexpr std::string_view name_characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

std::string in_quotes(std::string_view name) { return "'" + std::string(name) + "'"; }

// Names of tables and columns are quoted in SQL, so all but control characters will do.
void check_sql_name(std::string_view what, std::string_view name) {
  auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (name.empty()) throw error(ingest_errc::bad_stream, std::string(what) + " has no name");
  if (std::any_of(name.begin(), name.end(), is_control) || !simdjson::validate_utf8(name.data(), name.size()))
    throw error(ingest_errc::bad_stream,
                std::string(what) + "'s name has a control character or is not UTF-8: name it otherwise");
}

void check_stream_name(std::string_view name) {
  if (name.empty()) throw error(ingest_errc::bad_stream, "a stream has no name");
  if (name.size() > longest_stream_name || name.find_first_not_of(name_characters) != name.npos)
    throw error(ingest_errc::bad_stream, "a stream's name is 1 to 64 letters, digits, '_' and '-'");
}

// Adds the cell of a column's default to its rule.
void set_default(column_rule& rule, const std::string& json) {
  if (std::optional<json_fault> fault = diagnose_json(json))
    throw error(ingest_errc::bad_stream, "its default is no JSON: " + std::string(fault->message) + " at byte " +
                                             std::to_string(fault->offset) + " of " + json +
                                             " (a text is written in double quotes)");
  simdjson::dom::parser parser;
  simdjson::padded_string padded(json);
  item_part part;
  part.present = true;
  part.text = json;
  if (parser.parse(padded).get(part.value) != simdjson::SUCCESS)
    throw error(ingest_errc::bad_stream, "its default " + json + " has a number beyond 64 bits");
  db::cell cell;
  if (std::optional<item_error> wrong = make_cell(rule, part, cell))
    throw error(ingest_errc::bad_stream,
                "its default " + json + " does not fit: " + wrong->message.substr(wrong->message.find("': ") + 3));
  if (cell.type == db::cell::kind::null) return;
  if (cell.type == db::cell::kind::text) rule.default_text = std::string(cell.text());
  rule.default_cell = cell;
}

void add_column(compiled_stream& schema, const stream_column& column) {
  for (const column_rule& before : schema.rules)
    if (db::same_name(before.name, column.name))
      throw error(ingest_errc::bad_stream, before.name == column.name
                                               ? "it is there twice"
                                               : "it differs from " + in_quotes(before.name) + " in case only");
  if (db::same_name(column.name, schema.table.id_column))
    throw error(ingest_errc::bad_stream, "that is the name of the generated primary key: name it otherwise");
  if (column.type == db::column_type::blob)
    throw error(ingest_errc::bad_stream, "JSON has no blobs: make it text, or json");
  if (column.required && column.default_value)
    throw error(ingest_errc::bad_stream, "it is required and has a default: leave one of them out");
  std::vector<std::string> tokens = parse_pointer(column.pointer);
  if (tokens.size() > most_item_depth)
    throw error(ingest_errc::bad_stream, "its pointer is deeper than items may nest");
  column_rule rule{column.name, column.pointer, column.type, column.required};
  if (column.default_value) set_default(rule, *column.default_value);
  schema.tree.add(tokens, static_cast<std::uint32_t>(schema.rules.size()));
  schema.has_json_columns = schema.has_json_columns || column.type == db::column_type::json;
  schema.rules.push_back(std::move(rule));
}

void add_columns(compiled_stream& schema) {
  for (const stream_column& column : schema.definition.columns) {
    check_sql_name("a column", column.name);
    try {
      add_column(schema, column);
    } catch (error& e) {
      throw error(ingest_errc::bad_stream, "column " + in_quotes(column.name) + ": " + e.message());
    }
  }
  for (column_rule& rule : schema.rules)  // where they will stay
    if (rule.default_cell && rule.default_cell->type == db::cell::kind::text)
      rule.default_cell->data = rule.default_text.data();
}

// No two NULLs are equal to a unique index, so repeats of a row with one would not be seen: key columns always have a
// value.
void check_key(compiled_stream& schema) {
  std::vector<std::string_view> names;
  names.reserve(schema.rules.size());
  for (const column_rule& rule : schema.rules) names.push_back(rule.name);
  std::vector<std::string>& key = schema.definition.key;
  if (!key.empty() && names.empty())
    throw error(ingest_errc::bad_stream, "a key needs columns: map the parts that make an item unique to some");
  for (auto name = key.begin(); name != key.end(); ++name) {
    if (std::find(key.begin(), name, *name) != name)
      throw error(ingest_errc::bad_stream, "its key names column " + in_quotes(*name) + " twice");
    auto found = std::find(names.begin(), names.end(), *name);
    if (found == names.end())
      throw error(ingest_errc::bad_stream,
                  "its key names column " + in_quotes(*name) + ", which it does not have" + suggestion(*name, names));
    auto index = static_cast<std::size_t>(found - names.begin());
    column_rule& rule = schema.rules[index];
    if (rule.default_cell) continue;
    rule.required = true;
    schema.definition.columns[index].required = true;
    schema.definition.columns[index].default_value.reset();
  }
}

void make_table(compiled_stream& schema) {
  for (const column_rule& rule : schema.rules)
    schema.table.columns.push_back({rule.name, rule.type, rule.required || rule.default_cell.has_value()});
  if (schema.rules.empty())
    schema.table.columns = {{"data", db::column_type::json, true},
                            {"created_at", db::column_type::timestamp, true, true}};
  schema.table.unique_key = schema.definition.key;
}

}  // namespace

item_schema::item_schema(stream_definition definition) {
  auto made = std::make_shared<compiled_stream>();
  made->definition = std::move(definition);
  made->table.name = made->definition.table;
  check_stream_name(made->definition.name);
  try {
    check_sql_name("its table", made->table.name);
    add_columns(*made);
    check_key(*made);
  } catch (error& e) {
    throw error(ingest_errc::bad_stream, "stream " + in_quotes(made->definition.name) + ": " + e.message());
  }
  make_table(*made);
  compiled_ = std::move(made);
}

const stream_definition& item_schema::definition() const noexcept { return compiled_->definition; }
const db::table_definition& item_schema::table() const noexcept { return compiled_->table; }

}  // namespace penstock::ingest
