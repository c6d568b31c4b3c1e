// A row either becomes one whole JSON object or leaves no trace.

#include "app/load/csv_columns.h"

#include "app/error.h"
#include "app/load/csv_cell.h"
#include <penstock/core/nearest.h>
#include <penstock/ingest/json_pointer.h>
#include <penstock/ingest/stream_definition.h>

#include <algorithm>

#include <simdjson.h>

namespace penstock::app::load {
namespace {

std::string in_quotes(std::string_view text) {
  constexpr std::size_t most = 40;
  std::string shown(text.substr(0, most));
  if (text.size() > most) shown += "…";
  return "'" + shown + "'";
}

}  // namespace

std::optional<db::column_type> parse_csv_type(std::string_view name) noexcept {
  for (db::column_type type : ingest::item_column_types)
    if (db::name_of(type) == name) return type;
  return std::nullopt;
}

column_types parse_column_types(std::string_view text) {
  column_types types;
  while (!text.empty()) {
    std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    std::size_t equals = one.rfind('=');
    std::string_view type = equals == std::string_view::npos ? "" : one.substr(equals + 1);
    std::optional<db::column_type> known = parse_csv_type(type);
    if (!known) {
      std::vector<std::string_view> names;
      names.reserve(ingest::item_column_types.size());
      for (db::column_type t : ingest::item_column_types) names.push_back(db::name_of(t));
      throw error(app_errc::bad_usage,
                  in_quotes(one) + ": expected COLUMN=TYPE with integer, real, text, boolean, timestamp or json" +
                      suggestion(type, names));
    }
    types.emplace_back(one.substr(0, equals), *known);
  }
  return types;
}

csv_columns::csv_columns(std::span<const std::string_view> header, const column_types& types) {
  std::vector<std::string_view> names;
  for (std::string_view cell : header) {
    if (!simdjson::validate_utf8(cell.data(), cell.size()))
      throw error(app_errc::bad_usage, "the header's field " + std::to_string(names.size() + 1) + " is no UTF-8");
    std::size_t colon = cell.rfind(':');
    std::optional<db::column_type> type;
    if (colon != std::string_view::npos) type = parse_csv_type(cell.substr(colon + 1));
    std::string_view name = type ? cell.substr(0, colon) : cell;
    if (std::find(names.begin(), names.end(), name) != names.end())
      throw error(app_errc::bad_usage, "the header names column " + in_quotes(name) + " twice");
    names.push_back(name);
    std::string opening(columns_.empty() ? "{" : ",");
    append_json_string(name, opening);
    columns_.push_back({std::string(name), type.value_or(db::column_type::text), opening + ":"});
  }
  for (const auto& [name, type] : types) {
    auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end())
      throw error(app_errc::bad_usage,
                  "--types names column " + in_quotes(name) + ", which the header does not" + suggestion(name, names));
    columns_[static_cast<std::size_t>(at - names.begin())].type = type;
  }
}

std::optional<cell_problem> csv_columns::append(std::span<const std::string_view> fields, std::string& body) {
  std::size_t before = body.size();
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const column& c = columns_[i];
    body.append(c.opening);
    if (fields[i].empty()) {
      body.append(c.type == db::column_type::text ? "\"\"" : "null");
      continue;
    }
    if (const char* expected = append_cell(fields[i], c.type, body)) {
      body.resize(before);
      return cell_problem{"column " + in_quotes(c.name) + ": expected " + expected + ", got " + in_quotes(fields[i]),
                          ingest::pointer_to_member(c.name)};
    }
  }
  body.push_back('}');
  return std::nullopt;
}

}  // namespace penstock::app::load
