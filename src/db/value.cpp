#include "penstock/db/value.h"

#include <cstdio>

namespace penstock::db {

std::string_view name_of(column_type type) noexcept {
  switch (type) {
    case column_type::integer:
      return "integer";
    case column_type::real:
      return "real";
    case column_type::text:
      return "text";
    case column_type::boolean:
      return "boolean";
    case column_type::timestamp:
      return "timestamp";
    case column_type::json:
      return "json";
    case column_type::blob:
      return "blob";
  }
  return "unknown";
}

std::string format_timestamp(timestamp t) {
  auto day = std::chrono::floor<std::chrono::days>(t);
  std::chrono::year_month_day date(day);
  std::chrono::hh_mm_ss time(t - day);
  char text[48];
  int n =
      std::snprintf(text, sizeof(text), "%04d-%02u-%02uT%02ld:%02ld:%02lld.%06lldZ", static_cast<int>(date.year()),
                    static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                    static_cast<long>(time.hours().count()), static_cast<long>(time.minutes().count()),
                    static_cast<long long>(time.seconds().count()), static_cast<long long>(time.subseconds().count()));
  return std::string(text, static_cast<std::size_t>(n));
}

}  // namespace penstock::db
