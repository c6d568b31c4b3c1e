#include "penstock/db/row_mapping.h"

#include "penstock/db/error.h"

#include <charconv>
#include <cmath>
#include <system_error>

// Invariant: a value is never changed on its way into a member, save that a float has fewer digits, and a double fewer
// than a decimal; what would not fit is refused.

namespace penstock::db::detail {
namespace {

std::string description_of(const value& v) {
  if (const auto* n = std::get_if<std::int64_t>(&v)) return "the whole number " + std::to_string(*n);
  constexpr std::string_view kinds[] = {"null",      "a whole number", "a real number", "a text",
                                        "a boolean", "a timestamp",    "a blob"};
  return std::string(kinds[v.index()]);
}

// False unless the text is a number from its first character to its last.
template <class Number>
bool read_number(const value& from, Number& to) noexcept {
  const auto* text = std::get_if<std::string>(&from);
  if (text == nullptr) return false;
  const char* end = text->data() + text->size();
  auto [read_to, failed] = std::from_chars(text->data(), end, to);
  return failed == std::errc() && read_to == end;
}

}  // namespace

bool read_integer(const value& from, std::int64_t least, std::int64_t most, std::int64_t& to) noexcept {
  std::int64_t number = 0;
  if (const auto* n = std::get_if<std::int64_t>(&from))
    number = *n;
  else if (!read_number(from, number))
    return false;
  if (number < least || number > most) return false;
  to = number;
  return true;
}

bool read_unsigned(const value& from, std::uint64_t& to) noexcept {
  const auto* n = std::get_if<std::int64_t>(&from);
  if (n == nullptr) return read_number(from, to);
  if (*n < 0) return false;
  to = static_cast<std::uint64_t>(*n);
  return true;
}

bool read_real(const value& from, double& to) noexcept {
  const auto* d = std::get_if<double>(&from);
  if (d != nullptr) to = *d;
  if (d != nullptr) return true;
  const auto* n = std::get_if<std::int64_t>(&from);
  if (n == nullptr) return read_number(from, to);
  to = static_cast<double>(*n);
  return to < 0x1p63 && static_cast<std::int64_t>(to) == *n;
}

bool read_float(const value& from, float& to) noexcept {
  double d = 0;
  if (!read_real(from, d) || (std::isfinite(d) && std::abs(d) > std::numeric_limits<float>::max())) return false;
  to = static_cast<float>(d);
  return !std::holds_alternative<std::int64_t>(from) || static_cast<double>(to) == d;
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
                        "): " + description_of(r.rows[row][column]) + " can't become " + std::string(member);
  if (std::holds_alternative<std::monostate>(r.rows[row][column])) message += "; make the member a std::optional";
  throw database_error(db_errc::data, message);
}

}  // namespace penstock::db::detail
