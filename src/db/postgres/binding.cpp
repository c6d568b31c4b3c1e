#include "binding.h"

#include "../cell_kinds.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include <endian.h>

namespace penstock::db::postgres {
namespace {

// What the server takes: 4714-11-24 BC to 294276-12-31, in microseconds since 2000 (src/include/datatype/timestamp.h).
constexpr std::int64_t earliest_timestamp = -211'813'488'000'000'000;
constexpr std::int64_t end_of_timestamps = 9'223'371'331'200'000'000;
constexpr std::size_t longest_value = (std::size_t{1} << 30) - 1024;

template <class Unsigned>
void append_big_endian(std::string& to, Unsigned v) {
  if constexpr (sizeof v == 8)
    v = htobe64(v);
  else if constexpr (sizeof v == 4)
    v = htobe32(v);
  else
    v = htobe16(v);
  to.append(reinterpret_cast<const char*>(&v), sizeof v);
}

std::string_view name_of(wire_type type) {
  switch (type) {
    case wire_type::boolean:
      return "boolean";
    case wire_type::int2:
      return "smallint";
    case wire_type::int4:
      return "integer";
    case wire_type::int8:
      return "bigint";
    case wire_type::float4:
    case wire_type::float8:
      return "a real number";
    case wire_type::text:
      return "text";
    case wire_type::bytea:
      return "bytea";
    case wire_type::timestamp:
      return "timestamp";
    case wire_type::other:
      break;
  }
  return "this type";
}

std::string misfit(const cell& c, wire_type type) {
  return std::string(name_of(c.type)) + " does not fit " + std::string(name_of(type));
}

template <class Number>
bool parse_whole(std::string_view text, Number& n) {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), n);
  return failed == std::errc() && end == text.data() + text.size();
}

template <class Integer>
std::string append_integer(std::string& to, const cell& c, wire_type type) {
  std::int64_t n = 0;
  if (c.type == cell::kind::integer || c.type == cell::kind::boolean) {
    n = c.integer;
  } else if (c.type == cell::kind::real) {
    if (!(c.real >= -0x1p63 && c.real < 0x1p63) || c.real != std::trunc(c.real)) return misfit(c, type);
    n = static_cast<std::int64_t>(c.real);
  } else if (c.type != cell::kind::text || !parse_whole(c.text(), n)) {
    return misfit(c, type);
  }
  if (n < std::numeric_limits<Integer>::min() || n > std::numeric_limits<Integer>::max())
    return std::to_string(n) + " is out of range for " + std::string(name_of(type));
  append_big_endian(to, static_cast<std::make_unsigned_t<Integer>>(n));
  return {};
}

std::string shortest(double d) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, d).ptr};
}

// A number with a fraction may lose digits; one that would become infinite or zero is refused, as the server does with
// a literal.
std::string append_float(std::string& to, double d, bool may_be_rounded) {
  auto f = static_cast<float>(d);
  bool is_out_of_range = std::isfinite(d) && (std::isinf(f) || (f == 0 && d != 0));
  if (is_out_of_range) return shortest(d) + " is out of range for real";
  if (!may_be_rounded && static_cast<double>(f) != d) return shortest(d) + " has more digits than real keeps";
  append_big_endian(to, std::bit_cast<std::uint32_t>(f));
  return {};
}

std::string append_real(std::string& to, const cell& c, wire_type type) {
  double d = 0;
  if (c.type == cell::kind::real) {
    d = c.real;
  } else if (c.type == cell::kind::integer || c.type == cell::kind::boolean) {
    d = static_cast<double>(c.integer);
    if (!is_exact_as_real(c.integer)) return std::to_string(c.integer) + " has more digits than a real number keeps";
  } else if (c.type != cell::kind::text || !parse_whole(c.text(), d)) {
    return misfit(c, type);
  }
  if (type == wire_type::float8)
    append_big_endian(to, std::bit_cast<std::uint64_t>(d));
  else
    return append_float(to, d, c.type != cell::kind::integer);
  return {};
}

std::string append_boolean(std::string& to, const cell& c) {
  if (!is_truth(c)) return misfit(c, wire_type::boolean);
  to += static_cast<char>(c.integer);
  return {};
}

std::string append_timestamp(std::string& to, const cell& c) {
  if (c.type != cell::kind::timestamp) return misfit(c, wire_type::timestamp);
  if (c.integer < earliest_timestamp + from_1970_to_2000 || c.integer - from_1970_to_2000 >= end_of_timestamps)
    return "the timestamp is out of PostgreSQL's range, 4714 BC to 294276";
  append_big_endian(to, static_cast<std::uint64_t>(c.integer - from_1970_to_2000));
  return {};
}

template <class Number>
void append_number(std::string& to, Number n) {
  char digits[32];
  to.append(digits, std::to_chars(digits, digits + sizeof digits, n).ptr);
}

std::string append_text(std::string& to, const cell& c, wire_type type) {
  switch (c.type) {
    case cell::kind::text:
      if (c.size > 0 && std::memchr(c.data, 0, c.size) != nullptr)
        return "the text has a zero byte, which PostgreSQL can't store in a text: use a blob";
      to.append(c.data == nullptr ? "" : c.data, c.size);
      return {};
    case cell::kind::integer:
      append_number(to, c.integer);
      return {};
    case cell::kind::real:
      append_number(to, c.real);
      return {};
    case cell::kind::boolean:
      to += c.integer != 0 ? "true" : "false";
      return {};
    case cell::kind::timestamp: {
      if (type != wire_type::text) break;
      char text[32];
      to.append(text, write_timestamp(timestamp(std::chrono::microseconds(c.integer)), text));
      return {};
    }
    case cell::kind::blob:
    case cell::kind::null:
      break;
  }
  return misfit(c, type);
}

std::string append_bytes(std::string& to, const cell& c) {
  if (c.type != cell::kind::blob && c.type != cell::kind::text) return misfit(c, wire_type::bytea);
  to.append(c.data == nullptr ? "" : c.data, c.size);
  return {};
}

}  // namespace

wire_type wire_type_of(Oid type) noexcept {
  switch (type) {
    case bool_oid:
      return wire_type::boolean;
    case int2_oid:
      return wire_type::int2;
    case int4_oid:
      return wire_type::int4;
    case int8_oid:
      return wire_type::int8;
    case float4_oid:
      return wire_type::float4;
    case float8_oid:
      return wire_type::float8;
    case name_oid:
    case text_oid:
    case json_oid:
    case unknown_oid:
    case bpchar_oid:
    case varchar_oid:
      return wire_type::text;
    case bytea_oid:
      return wire_type::bytea;
    case timestamp_oid:
    case timestamptz_oid:
      return wire_type::timestamp;
    default:
      return wire_type::other;
  }
}

void append_int32(std::string& to, std::int32_t v) { append_big_endian(to, static_cast<std::uint32_t>(v)); }

void write_size(std::string& to, std::size_t at, std::size_t size) noexcept {
  for (std::size_t i = 0; i < 4; ++i) to[at + i] = static_cast<char>(size >> (8 * (3 - i)));
}

std::string append_value(std::string& to, const cell& c, wire_type type) {
  bool has_bytes = c.type == cell::kind::text || c.type == cell::kind::blob;
  if (has_bytes && c.size > longest_value)
    return "a value of " + std::to_string(c.size) + " bytes: PostgreSQL takes less than 1 GiB";
  switch (type) {
    case wire_type::boolean:
      return append_boolean(to, c);
    case wire_type::int2:
      return append_integer<std::int16_t>(to, c, type);
    case wire_type::int4:
      return append_integer<std::int32_t>(to, c, type);
    case wire_type::int8:
      return append_integer<std::int64_t>(to, c, type);
    case wire_type::float4:
    case wire_type::float8:
      return append_real(to, c, type);
    case wire_type::bytea:
      return append_bytes(to, c);
    case wire_type::timestamp:
      return append_timestamp(to, c);
    case wire_type::text:
    case wire_type::other:
      break;
  }
  return append_text(to, c, type);
}

void arguments::clear() noexcept {
  entries_.clear();
  lengths_.clear();
  formats_.clear();
  bytes_.clear();
}

std::string arguments::add(const cell& c, Oid type, text_reader texts) {
  bool null = c.type == cell::kind::null;
  entries_.push_back({bytes_.size(), null});
  wire_type as = wire_type_of(type);
  bool readable = as != wire_type::bytea && as != wire_type::text;
  if (c.type == cell::kind::text && readable && texts == text_reader::server) as = wire_type::other;
  std::string why = null ? std::string() : append_value(bytes_, c, as);
  lengths_.push_back(static_cast<int>(bytes_.size() - entries_.back().offset));
  formats_.push_back(as == wire_type::other ? 0 : 1);
  bytes_ += '\0';
  return why;
}

bound_values arguments::bound() {
  pointers_.clear();
  for (const entry& e : entries_) pointers_.push_back(e.null ? nullptr : bytes_.data() + e.offset);
  return {static_cast<int>(entries_.size()), pointers_.data(), lengths_.data(), formats_.data()};
}

}  // namespace penstock::db::postgres
