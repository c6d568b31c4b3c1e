#include "penstock/db/row_mapping.h"

#include "penstock/db/error.h"

#include <cmath>

// Invariant: a value is never changed on its way into a member, save that a float has fewer digits; what would not fit
// is refused.

namespace penstock::db::detail {
namespace {

std::string_view kind_of(const value& v) {
  constexpr std::string_view kinds[] = {"null",      "a whole number", "a real number", "a text",
                                        "a boolean", "a timestamp",    "a blob"};
  return kinds[v.index()];
}

}  // namespace

bool read_integer(const value& from, std::int64_t least, std::int64_t most, std::int64_t& to) noexcept {
  const auto* n = std::get_if<std::int64_t>(&from);
  if (n == nullptr || *n < least || *n > most) return false;
  to = *n;
  return true;
}

bool read_real(const value& from, double& to) noexcept {
  const auto* d = std::get_if<double>(&from);
  if (d != nullptr) to = *d;
  if (d != nullptr) return true;
  const auto* n = std::get_if<std::int64_t>(&from);
  if (n == nullptr) return false;
  to = static_cast<double>(*n);
  return to < 0x1p63 && static_cast<std::int64_t>(to) == *n;
}

bool read_float(const value& from, float& to) noexcept {
  double d = 0;
  if (!read_real(from, d) || (std::isfinite(d) && std::abs(d) > std::numeric_limits<float>::max())) return false;
  to = static_cast<float>(d);
  return std::holds_alternative<double>(from) || static_cast<double>(to) == d;
}

bool read_boolean(const value& from, bool& to) noexcept {
  if (const auto* truth = std::get_if<bool>(&from)) {
    to = *truth;
    return true;
  }
  const auto* n = std::get_if<std::int64_t>(&from);
  to = n != nullptr && *n == 1;
  return n != nullptr && (*n == 0 || *n == 1);
}

// SQLite has no type for timestamps: they are texts.
bool read_timestamp(const value& from, timestamp& to) noexcept {
  std::optional<timestamp> read;
  if (const auto* t = std::get_if<timestamp>(&from)) read = *t;
  if (const auto* text = std::get_if<std::string>(&from)) read = parse_timestamp(*text);
  if (read) to = *read;
  return read.has_value();
}

// A statement that gives no rows, as INSERT, has no columns either.
void require_columns(const result& r, std::size_t members) {
  if (r.rows.empty() && r.columns.empty()) return;
  std::size_t columns = r.rows.empty() ? r.columns.size() : r.rows.front().size();
  if (columns == members) return;
  throw database_error(db_errc::data, "the result has " + std::to_string(columns) + " columns, but the struct has " +
                                          std::to_string(members) + " members");
}

void throw_misfit(const result& r, std::size_t row, std::size_t column, std::string_view member) {
  std::string name = column < r.columns.size() ? r.columns[column] : std::string();
  std::string message = "row " + std::to_string(row + 1) + ", column '" + name + "' (" + std::to_string(column + 1) +
                        "): " + std::string(kind_of(r.rows[row][column])) + " can't become " + std::string(member);
  if (std::holds_alternative<std::monostate>(r.rows[row][column])) message += "; make the member a std::optional";
  throw database_error(db_errc::data, message);
}

}  // namespace penstock::db::detail
