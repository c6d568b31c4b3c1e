#include "misfit.h"

#include "../cell_kinds.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace penstock::db::mariadb {
namespace {

using kind = cell::kind;

bool is_whole(double d) noexcept { return d >= -0x1p63 && d < 0x1p63 && d == std::trunc(d); }

// Digits, maybe behind a sign; whether the column has room for them, the server says.
bool is_whole(std::string_view text) noexcept {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool fits(const cell& c, column_type column) noexcept {
  switch (column) {
    case column_type::integer:
      return c.type == kind::integer || c.type == kind::boolean || (c.type == kind::real && is_whole(c.real)) ||
             (c.type == kind::text && is_whole(c.text()));
    case column_type::boolean:
      return is_truth(c);
    case column_type::real:
      return c.type == kind::real || c.type == kind::text ||
             ((c.type == kind::integer || c.type == kind::boolean) && is_exact_as_real(c.integer));
    case column_type::timestamp:
      return c.type == kind::timestamp || c.type == kind::text;
    case column_type::text:
    case column_type::json:
    case column_type::blob:
      return true;
  }
  return true;
}

}  // namespace

std::optional<std::string> misfit(const cell& c, column_type column) {
  if (c.type == kind::null || fits(c, column)) return std::nullopt;
  return std::string(name_of(c.type)) + " does not fit a column of type " + std::string(name_of(column));
}

}  // namespace penstock::db::mariadb
