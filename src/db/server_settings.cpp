#include "server_settings.h"

#include <algorithm>
#include <charconv>
#include <variant>

namespace penstock::db {
namespace {

std::string in_lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
  return text;
}

}  // namespace

void server_settings::add(const result& rows) {
  for (const auto& row : rows.rows)
    if (const auto* value = std::get_if<std::string>(&row.at(1)))
      values_.insert_or_assign(in_lower_case(std::get<std::string>(row.at(0))), *value);
}

const std::string& server_settings::text(std::string_view name) const {
  static const std::string none;
  auto found = values_.find(name);
  return found == values_.end() ? none : found->second;
}

std::optional<std::int64_t> server_settings::number(std::string_view name) const {
  const std::string& value = text(name);
  std::int64_t n = 0;
  auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), n);
  if (value.empty() || failed != std::errc() || end != value.data() + value.size()) return std::nullopt;
  return n;
}

bool server_settings::is_on(std::string_view name) const {
  std::string value = in_lower_case(text(name));
  return value == "on" || value == "1" || value == "yes" || value == "true";
}

}  // namespace penstock::db
