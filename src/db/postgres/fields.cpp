#include "fields.h"

#include "binding.h"

#include <bit>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

namespace penstock::db::postgres {
namespace {

template <class Unsigned>
Unsigned big_endian(const char* from) noexcept {
  Unsigned v = 0;
  for (std::size_t i = 0; i < sizeof v; ++i) v = static_cast<Unsigned>(v << 8 | static_cast<unsigned char>(from[i]));
  return v;
}

timestamp timestamp_of(std::int64_t since_2000) {
  using limits = std::numeric_limits<std::int64_t>;
  if (since_2000 == limits::min()) return timestamp::min();
  if (since_2000 > limits::max() - from_1970_to_2000) return timestamp::max();
  return timestamp(std::chrono::microseconds(since_2000 + from_1970_to_2000));
}

blob blob_of(std::string_view bytes) {
  auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  return {{data, data + bytes.size()}};
}

value value_of_binary(std::string_view bytes, Oid type) {
  switch (type) {
    case bool_oid:
      return bytes[0] != 0;
    case int2_oid:
      return std::int64_t{static_cast<std::int16_t>(big_endian<std::uint16_t>(bytes.data()))};
    case int4_oid:
      return std::int64_t{static_cast<std::int32_t>(big_endian<std::uint32_t>(bytes.data()))};
    case oid_oid:
      return std::int64_t{big_endian<std::uint32_t>(bytes.data())};
    case int8_oid:
      return static_cast<std::int64_t>(big_endian<std::uint64_t>(bytes.data()));
    case float4_oid:
      return double{std::bit_cast<float>(big_endian<std::uint32_t>(bytes.data()))};
    case float8_oid:
      return std::bit_cast<double>(big_endian<std::uint64_t>(bytes.data()));
    case timestamp_oid:
    case timestamptz_oid:
      return timestamp_of(static_cast<std::int64_t>(big_endian<std::uint64_t>(bytes.data())));
    case bytea_oid:
      return blob_of(bytes);
    case jsonb_oid:
      return std::string(bytes.substr(1));  // behind the format's version
    default:
      return std::string(bytes);
  }
}

// Of the Gregorian calendar, whose year 0 is 1 BC; std::chrono::year ends at 32767. Counts in eras of 400 years from
// March on, so that a leap day is the last of its year.
std::int64_t days_since_2000(std::int64_t year, std::int64_t month, std::int64_t day) {
  if (month <= 2) --year;
  std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  std::int64_t of_era = year - era * 400;
  std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  std::int64_t day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 730'425;
}

// Reads "2026-01-31 09:30:00.5+00", as DateStyle ISO writes it, from the left.
class timestamp_reader {
 public:
  explicit timestamp_reader(std::string_view text) noexcept : rest_(text) {}

  std::optional<timestamp> read() {
    if (rest_ == "infinity") return timestamp::max();
    if (rest_ == "-infinity") return timestamp::min();
    bool before_christ = rest_.ends_with(" BC");
    if (before_christ) rest_.remove_suffix(3);
    std::int64_t year = number();
    skip('-');
    std::int64_t month = number();
    skip('-');
    std::int64_t day = number();
    skip(' ');
    std::int64_t seconds = clock_time();
    std::int64_t micros = fraction();
    seconds -= offset();
    constexpr std::int64_t last_year = 294'276;  // that the server takes
    if (failed_ || !rest_.empty() || year > last_year) return std::nullopt;
    std::int64_t days = days_since_2000(before_christ ? 1 - year : year, month, day);
    return timestamp_of((days * 86'400 + seconds) * 1'000'000 + micros);
  }

 private:
  std::int64_t number() {
    std::int64_t n = 0;
    auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), n);
    if (error != std::errc() || n < 0) failed_ = true;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return n;
  }
  void skip(char c) {
    if (rest_.starts_with(c))
      rest_.remove_prefix(1);
    else
      failed_ = true;
  }
  bool next_is(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // "hh:mm:ss", of which seconds, and then minutes, may be missing.
  std::int64_t clock_time() {
    std::int64_t seconds = number() * 3'600;
    if (next_is(':')) seconds += number() * 60;
    if (next_is(':')) seconds += number();
    return seconds;
  }
  std::int64_t fraction() {
    if (!next_is('.')) return 0;
    std::size_t before = rest_.size();
    std::int64_t micros = number();
    for (std::size_t digits = before - rest_.size(); digits < 6; ++digits) micros *= 10;
    return micros;
  }
  std::int64_t offset() {
    if (next_is('+')) return clock_time();
    return next_is('-') ? -clock_time() : 0;
  }

  std::string_view rest_;
  bool failed_ = false;
};

template <class Number>
value number_of(std::string_view text) {
  Number n{};
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (failed != std::errc() || end != text.data() + text.size()) return std::string(text);
  return n;
}

// "\x00ff", as bytea_output hex writes it.
value blob_of_hex(std::string_view text) {
  if (!text.starts_with("\\x")) return std::string(text);
  blob b;
  b.bytes.reserve(text.size() / 2);
  for (std::size_t i = 2; i + 1 < text.size(); i += 2) {
    unsigned char byte = 0;
    std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    b.bytes.push_back(static_cast<std::byte>(byte));
  }
  return b;
}

value value_of_text(std::string_view text, Oid type) {
  switch (type) {
    case bool_oid:
      return text == "t";
    case int2_oid:
    case int4_oid:
    case int8_oid:
    case oid_oid:
      return number_of<std::int64_t>(text);
    case float4_oid: {
      // The shortest text of a float names it as a float, not as a double.
      float f = 0;
      auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), f);
      if (failed == std::errc() && end == text.data() + text.size()) return double{f};
      return number_of<double>(text);
    }
    case float8_oid:
      return number_of<double>(text);
    case timestamp_oid:
    case timestamptz_oid:
      if (std::optional<timestamp> t = timestamp_reader(text).read()) return *t;
      return std::string(text);
    case bytea_oid:
      return blob_of_hex(text);
    default:
      return std::string(text);
  }
}

}  // namespace

bool is_readable_in_binary(Oid type) noexcept {
  return wire_type_of(type) != wire_type::other || type == oid_oid || type == jsonb_oid || type == void_oid;
}

std::vector<std::string> column_names(const PGresult* r) {
  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(PQnfields(r)));
  for (int i = 0; i < PQnfields(r); ++i) names.emplace_back(PQfname(r, i));
  return names;
}

bool is_unreadable(const PGresult* r) noexcept {
  for (int i = 0; i < PQnfields(r); ++i)
    if (PQfformat(r, i) == 1 && !is_readable_in_binary(PQftype(r, i))) return true;
  return false;
}

value field_value(const PGresult* r, int row, int column) {
  if (PQgetisnull(r, row, column) != 0) return std::monostate();
  std::string_view bytes(PQgetvalue(r, row, column), static_cast<std::size_t>(PQgetlength(r, row, column)));
  return PQfformat(r, column) == 1 ? value_of_binary(bytes, PQftype(r, column))
                                   : value_of_text(bytes, PQftype(r, column));
}

std::int64_t binary_integer(const PGresult* r, int row, int column) noexcept {
  if (PQgetisnull(r, row, column) != 0 || PQfformat(r, column) != 1) return 0;
  const char* bytes = PQgetvalue(r, row, column);
  switch (PQftype(r, column)) {
    case int2_oid:
      return static_cast<std::int16_t>(big_endian<std::uint16_t>(bytes));
    case int4_oid:
      return static_cast<std::int32_t>(big_endian<std::uint32_t>(bytes));
    case int8_oid:
      return static_cast<std::int64_t>(big_endian<std::uint64_t>(bytes));
    default:
      return 0;
  }
}

std::uint64_t affected_rows(const PGresult* r) noexcept {
  std::string_view tag = PQcmdTuples(const_cast<PGresult*>(r));
  std::uint64_t n = 0;
  std::from_chars(tag.data(), tag.data() + tag.size(), n);
  return n;
}

}  // namespace penstock::db::postgres
