// Invariant: what is wrong with a stream is found here, while the line it stands on is known.

#include "app/serve/stream_tables.h"

#include <penstock/core/error.h>
#include <penstock/core/nearest.h>
#include <penstock/db/examination.h>
#include <penstock/db/table.h>
#include <penstock/ingest/item_schema.h>
#include <penstock/ingest/json_pointer.h>
#include <penstock/ingest/service.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <sstream>

namespace penstock::app {
namespace {

constexpr std::array<std::string_view, 4> stream_keys{"name", "table", "key", "columns"};
constexpr std::array<std::string_view, 5> column_keys{"name", "pointer", "type", "required", "default"};

std::string in_quotes(std::string_view name) { return "'" + std::string(name) + "'"; }

// Reads one table; `what` names it in messages, such as "stream 'orders'".
class table_reader {
 public:
  table_reader(const toml::table& table, std::string what, toml_problems& problems)
      : table_(table), what_(std::move(what)), problems_(problems) {}

  void allow_only(std::span<const std::string_view> keys) {
    for (const auto& [key, node] : table_)
      if (std::find(keys.begin(), keys.end(), key.str()) == keys.end())
        problems_.add(key.source(), what_ + ": unknown key " + in_quotes(key.str()) + suggestion(key.str(), keys));
  }

  std::optional<std::string> string(std::string_view key, bool required = false) {
    const toml::node* node = table_.get(key);
    if (node == nullptr && required) problems_.add(table_.source(), what_ + ": '" + std::string(key) + "' is missing");
    if (node == nullptr) return std::nullopt;
    if (!node->is_string()) return wrong_type<std::string>(key, *node, "a string");
    return node->as_string()->get();
  }

  std::optional<bool> boolean(std::string_view key) {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return std::nullopt;
    if (!node->is_boolean()) return wrong_type<bool>(key, *node, "true or false");
    return node->as_boolean()->get();
  }

  std::vector<std::string> strings(std::string_view key) {
    std::vector<std::string> all;
    const toml::node* node = table_.get(key);
    if (node == nullptr) return all;
    const toml::array* array = node->as_array();
    if (array == nullptr) {
      wrong_type<std::string>(key, *node, "a list of strings");
      return all;
    }
    for (const toml::node& element : *array) {
      if (element.is_string())
        all.push_back(element.as_string()->get());
      else
        wrong_type<std::string>(key, element, "a list of strings");
    }
    return all;
  }

  template <class T>
  std::optional<T> wrong_type(std::string_view key, const toml::node& node, std::string_view expected) {
    problems_.add(node.source(), what_ + ": '" + std::string(key) + "': expected " + std::string(expected) + ", got " +
                                     std::string(describe(node)));
    return std::nullopt;
  }

  const toml::node* get(std::string_view key) const { return table_.get(key); }
  const std::string& what() const noexcept { return what_; }

 private:
  const toml::table& table_;
  std::string what_;
  toml_problems& problems_;
};

std::optional<db::column_type> read_type(table_reader& column, toml_problems& problems) {
  std::optional<std::string> name = column.string("type");
  if (!name) return std::nullopt;
  std::array<std::string_view, ingest::item_column_types.size()> names;
  std::transform(ingest::item_column_types.begin(), ingest::item_column_types.end(), names.begin(), db::name_of);
  auto found = std::find(names.begin(), names.end(), *name);
  if (found != names.end()) return ingest::item_column_types[static_cast<std::size_t>(found - names.begin())];
  std::string known;
  for (std::string_view n : names) known += (known.empty() ? "" : ", ") + std::string(n);
  problems.add(column.get("type")->source(),
               column.what() + ": unknown type " + in_quotes(*name) + suggestion(*name, names) + " (" + known + ")");
  return std::nullopt;
}

// JSON has no infinity and no NaN.
bool is_finite(const toml::node& node) {
  if (const auto* number = node.as_floating_point()) return std::isfinite(number->get());
  auto finite = [](const auto& element) { return is_finite(element); };
  auto finite_member = [](const auto& member) { return is_finite(member.second); };
  if (const auto* array = node.as_array()) return std::all_of(array->begin(), array->end(), finite);
  if (const auto* table = node.as_table()) return std::all_of(table->begin(), table->end(), finite_member);
  return true;
}

std::string json_of(const toml::node& node) {
  std::ostringstream out;
  out << toml::json_formatter(node);
  return out.str();
}

ingest::stream_column read_column(const toml::table& table, const std::string& stream, toml_problems& problems) {
  const auto* given_name = table["name"].as_string();
  std::string what = stream + ", column " + (given_name != nullptr ? in_quotes(given_name->get()) : "without a name");
  table_reader reader(table, std::move(what), problems);
  reader.allow_only(column_keys);
  ingest::stream_column column;
  column.name = reader.string("name", true).value_or("");
  column.pointer = reader.string("pointer").value_or(ingest::pointer_to_member(column.name));
  column.type = read_type(reader, problems).value_or(db::column_type::text);
  column.required = reader.boolean("required").value_or(false);
  const toml::node* value = reader.get("default");
  if (value != nullptr && !is_finite(*value))
    problems.add(value->source(), reader.what() + ": 'default': JSON has no infinity and no NaN");
  else if (value != nullptr)
    column.default_value = json_of(*value);
  return column;
}

struct given_column {
  ingest::stream_column column;
  toml::source_region at;
  bool is_right;  // as far as it can be told without the others
};

std::vector<given_column> read_columns(table_reader& stream, toml_problems& problems) {
  std::vector<given_column> columns;
  const toml::node* node = stream.get("columns");
  if (node == nullptr) return columns;
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    stream.wrong_type<std::string>("columns", *node, "a list of tables");
    return columns;
  }
  for (const toml::node& element : *array) {
    const toml::table* table = element.as_table();
    if (table == nullptr) {
      stream.wrong_type<std::string>("columns", element, "a list of tables");
      continue;
    }
    std::size_t problems_before = problems.found().size();
    ingest::stream_column column = read_column(*table, stream.what(), problems);
    columns.push_back({std::move(column), table->source(), problems.found().size() == problems_before});
  }
  return columns;
}

// What is wrong with a stream, whatever its name is; empty when nothing is.
std::string fault_of(ingest::stream_definition stream) {
  constexpr std::string_view before = "stream 'any': ";
  stream.name = "any";
  try {
    ingest::item_schema schema(std::move(stream));
  } catch (const error& wrong) {
    return wrong.message().substr(before.size());
  }
  return {};
}

// Adds the parts one by one to a stream that is right, and leaves out those with which it is not, so that each mistake
// is told with its own line.
void check_parts(const ingest::stream_definition& stream, const toml::table& table,
                 const std::vector<given_column>& columns, toml_problems& problems) {
  auto report = [&](const toml::source_region& at, const std::string& fault) {
    if (!fault.empty()) problems.add(at, "stream " + in_quotes(stream.name) + ": " + fault);
  };
  auto place_of = [&](std::string_view key) { return table.contains(key) ? table.get(key)->source() : table.source(); };
  try {
    if (table["name"].is_string()) ingest::item_schema({.name = stream.name, .table = "any"});
  } catch (const error& wrong) {
    problems.add(place_of("name"), wrong.message());
  }
  if (table["table"].is_string()) report(place_of("table"), fault_of({.name = {}, .table = stream.table}));
  ingest::stream_definition right{.name = {}, .table = "any"};
  for (const given_column& given : columns) {
    ingest::stream_definition with = right;
    with.columns.push_back(given.column);
    std::string fault = given.is_right ? fault_of(with) : std::string();
    report(given.at, fault);
    if (!given.is_right || !fault.empty()) {  // its name may be in the key nevertheless
      with.columns.back() = {.name = given.column.name, .pointer = ingest::pointer_to_member(given.column.name)};
      if (!fault_of(with).empty()) continue;
    }
    right = std::move(with);
  }
  if (right.columns.empty() && !columns.empty()) return;
  for (const std::string& name : stream.key) {
    ingest::stream_definition with = right;
    with.key.push_back(name);
    std::string fault = fault_of(with);
    report(place_of("key"), fault);
    if (right.columns.empty()) return;
    if (fault.empty()) right = std::move(with);
  }
}

ingest::stream_definition read_stream(const toml::table& table, toml_problems& problems) {
  const auto* given_name = table["name"].as_string();
  table_reader reader(table, given_name != nullptr ? "stream " + in_quotes(given_name->get()) : "a stream", problems);
  reader.allow_only(stream_keys);
  ingest::stream_definition stream;
  stream.name = reader.string("name", true).value_or("");
  stream.table = reader.string("table").value_or(stream.name);
  stream.key = reader.strings("key");
  std::vector<given_column> columns = read_columns(reader, problems);
  check_parts(stream, table, columns, problems);
  for (given_column& given : columns) stream.columns.push_back(std::move(given.column));
  return stream;
}

// Penstock's own tables, also where they are named as "schema.table".
bool is_own_table(std::string_view name) {
  name.remove_prefix(name.rfind('.') + 1);  // none: npos + 1 is 0
  std::vector<db::used_table> own = ingest::used_tables({});
  return std::any_of(own.begin(), own.end(), [&](const db::used_table& t) { return db::same_name(t.name, name); });
}

// Whether the streams fit beside one another.
void check_stream(const ingest::stream_definition& stream, const std::vector<ingest::stream_definition>& before,
                  const toml::source_region& at, toml_problems& problems) {
  if (is_own_table(stream.table))
    problems.add(at, "stream " + in_quotes(stream.name) + ": table " + in_quotes(stream.table) +
                         " is one of Penstock's own: name another");
  auto same_stream = [&](const ingest::stream_definition& other) { return other.name == stream.name; };
  auto same_table = [&](const ingest::stream_definition& other) { return db::same_name(other.table, stream.table); };
  if (std::any_of(before.begin(), before.end(), same_stream))
    problems.add(at, "stream " + in_quotes(stream.name) + " is there twice");
  if (auto other = std::find_if(before.begin(), before.end(), same_table); other != before.end())
    problems.add(at, "stream " + in_quotes(stream.name) + ": table " + in_quotes(stream.table) + " is that of stream " +
                         in_quotes(other->name) + " already");
}

}  // namespace

void read_streams(const toml::node& streams, toml_problems& problems, loaded_config& into) {
  const toml::array* array = streams.as_array();
  if (array == nullptr || !array->is_array_of_tables()) {
    problems.add(streams.source(), "'stream': expected tables, each under a line [[stream]], got " +
                                       std::string(array == nullptr ? describe(streams) : "something else"));
    return;
  }
  into.values.ingest.streams.clear();
  into.stream_origins.clear();
  for (const toml::node& element : *array) {
    std::vector<ingest::stream_definition>& streams_before = into.values.ingest.streams;
    ingest::stream_definition stream = read_stream(*element.as_table(), problems);
    if (!stream.name.empty()) check_stream(stream, streams_before, element.source(), problems);
    streams_before.push_back(std::move(stream));
    into.stream_origins.push_back(problems.place(element.source()));
  }
}

void check_tables_of_store(const loaded_config& loaded, std::vector<std::string>& problems) {
  constexpr std::string_view sqlites_own = "sqlite_";
  if (!loaded.values.store_url.starts_with("sqlite:")) return;
  const std::vector<ingest::stream_definition>& streams = loaded.values.ingest.streams;
  for (std::size_t i = 0; i < streams.size(); ++i)
    if (db::same_name(std::string_view(streams[i].table).substr(0, sqlites_own.size()), sqlites_own))
      problems.push_back(loaded.stream_origins[i] + ": stream " + in_quotes(streams[i].name) + ": table " +
                         in_quotes(streams[i].table) + ": SQLite keeps names that begin with " +
                         std::string(sqlites_own) + " for itself: name another");
}

}  // namespace penstock::app
