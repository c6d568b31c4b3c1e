#include "column_rule.h"

#include "timestamp_text.h"

#include <charconv>
#include <cmath>

// A value either fits its column as it is or is refused: nothing is rounded, cut or read as another type. The one
// exception is the fraction of a timestamp, cut at microseconds.

namespace penstock::ingest {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

item_error wrong(const column_rule& rule, item_errc code, const std::string& what) {
  return {code_name(code), "column '" + rule.name + "': " + what, rule.pointer};
}

item_error wrong_type(const column_rule& rule, const item_part& part, std::string_view expected) {
  std::string_view got = part.is_big_number ? "a number" : kind_of(part.value);
  return wrong(rule, item_errc::type, "expected " + std::string(expected) + ", got " + std::string(got));
}

bool is_number(const item_part& part) noexcept {
  if (part.is_big_number) return true;
  element_type type = part.value.type();
  return type == element_type::INT64 || type == element_type::UINT64 || type == element_type::DOUBLE;
}

// 2^53: below, a double is the whole number that was written; 2^53 + 1 is read as 2^53.
constexpr double first_inexact_integer = 9'007'199'254'740'992.0;

// A whole number of 64 bits. Written with a fraction or exponent ("5.0", "1e3") it counts while a double is exact.
std::optional<item_error> whole_number(const column_rule& rule, const item_part& part, std::int64_t& into) {
  std::string_view expected =
      rule.type == db::column_type::timestamp ? "an RFC 3339 date-time or whole milliseconds since 1970" : "an integer";
  if (!is_number(part)) return wrong_type(rule, part, expected);
  if (!part.is_big_number && part.value.get(into) == simdjson::SUCCESS) return std::nullopt;
  double real = 0;
  if (part.is_big_number || part.value.type() != element_type::DOUBLE)
    return wrong(rule, item_errc::range, "the number is beyond 64 bits");
  real = part.value.get_double().value_unsafe();
  if (real != std::trunc(real))
    return wrong(rule, item_errc::type, "expected " + std::string(expected) + ", got a number with a fraction");
  if (std::abs(real) >= first_inexact_integer)
    return wrong(rule, item_errc::range,
                 "an integer of 2^53 and beyond must be written without a decimal point or an exponent");
  into = static_cast<std::int64_t>(real);
  return std::nullopt;
}

std::optional<item_error> real_number(const column_rule& rule, const item_part& part, double& into) {
  if (!is_number(part)) return wrong_type(rule, part, "a number");
  if (!part.is_big_number) {
    into = part.value.get_double().value_unsafe();
    return std::nullopt;
  }
  auto read = std::from_chars(part.text.data(), part.text.data() + part.text.size(), into);
  if (read.ec == std::errc()) return std::nullopt;
  return wrong(rule, item_errc::range, "the number is beyond what a double holds");
}

std::optional<item_error> point_in_time(const column_rule& rule, const item_part& part, std::int64_t& into) {
  db::timestamp t{};
  timestamp_verdict verdict{};
  if (!part.is_big_number && part.value.is_string()) {
    verdict = parse_timestamp(part.value.get_string().value_unsafe(), t);
  } else {
    std::int64_t milliseconds = 0;
    if (std::optional<item_error> failed = whole_number(rule, part, milliseconds)) return failed;
    verdict = timestamp_of_milliseconds(milliseconds, t);
  }
  into = t.time_since_epoch().count();
  switch (verdict) {
    case timestamp_verdict::good:
      return std::nullopt;
    case timestamp_verdict::malformed:
      return wrong(rule, item_errc::type,
                   "expected a date-time with its offset from UTC, such as \"2026-01-31T09:30:00Z\" (RFC 3339)");
    case timestamp_verdict::out_of_range:
      break;
  }
  return wrong(rule, item_errc::range, "there is no such date or time, or its year is not within 1 to 9999");
}

std::optional<item_error> absent_value(const column_rule& rule, const item_part& part, db::cell& into) {
  if (rule.default_cell) {
    into = *rule.default_cell;
    return std::nullopt;
  }
  if (rule.required)
    return wrong(rule, item_errc::missing,
                 part.present ? "a value is required, got null" : "a value is required, and there is none");
  into.type = db::cell::kind::null;
  return std::nullopt;
}

}  // namespace

std::optional<item_error> make_cell(const column_rule& rule, const item_part& part, db::cell& into) {
  if (!part.present || (!part.is_big_number && part.value.is_null())) return absent_value(rule, part, into);
  switch (rule.type) {
    case db::column_type::integer:
      into.type = db::cell::kind::integer;
      return whole_number(rule, part, into.integer);
    case db::column_type::real:
      into.type = db::cell::kind::real;
      return real_number(rule, part, into.real);
    case db::column_type::boolean: {
      bool value = false;
      if (part.is_big_number || part.value.get(value) != simdjson::SUCCESS)
        return wrong_type(rule, part, "true or false");
      into.type = db::cell::kind::boolean;
      into.integer = value ? 1 : 0;
      return std::nullopt;
    }
    case db::column_type::timestamp:
      into.type = db::cell::kind::timestamp;
      return point_in_time(rule, part, into.integer);
    case db::column_type::text:
    case db::column_type::json:
    case db::column_type::blob:
      break;
  }
  std::string_view text = part.text;
  if (rule.type == db::column_type::text && (part.is_big_number || part.value.get(text) != simdjson::SUCCESS))
    return wrong_type(rule, part, "a string");
  into.type = db::cell::kind::text;
  into.data = text.data();
  into.size = static_cast<std::uint32_t>(text.size());
  return std::nullopt;
}

std::string_view kind_of(element value) noexcept {
  switch (value.type()) {
    case element_type::OBJECT:
      return "an object";
    case element_type::ARRAY:
      return "an array";
    case element_type::STRING:
      return "a string";
    case element_type::INT64:
    case element_type::UINT64:
    case element_type::DOUBLE:
      return "a number";
    case element_type::BOOL:
      return value.get_bool().value_unsafe() ? "true" : "false";
    case element_type::NULL_VALUE:
      break;
  }
  return "null";
}

}  // namespace penstock::ingest
