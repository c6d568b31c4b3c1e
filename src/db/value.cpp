#include "penstock/db/value.h"

#include "penstock/db/error.h"

#include <array>
#include <charconv>
#include <cstdlib>

namespace penstock::db {

void detail::throw_too_large(std::uint64_t n) {
  throw database_error(db_errc::data, "the whole number " + std::to_string(n) +
                                          " is above 9223372036854775807, the largest that an integer holds");
}

namespace {

// Reads a text from the left; `good` turns false at what is not as expected.
struct reader {
  std::string_view rest;
  bool good = true;

  bool take(char c) noexcept {
    if (!rest.starts_with(c)) return false;
    rest.remove_prefix(1);
    return true;
  }
  void expect(char c) noexcept { good = take(c) && good; }
  std::int64_t number(std::size_t least_digits, std::size_t most_digits) noexcept {
    std::int64_t n = 0;
    std::size_t count = 0;
    for (; count < most_digits && count < rest.size() && rest[count] >= '0' && rest[count] <= '9'; ++count)
      n = n * 10 + (rest[count] - '0');
    good = good && count >= least_digits;
    rest.remove_prefix(count);
    return n;
  }
  int field() noexcept { return static_cast<int>(number(2, 2)); }
  std::int64_t microseconds() noexcept {
    std::size_t before = rest.size();
    std::int64_t n = number(1, 6);
    for (std::size_t count = before - rest.size(); count < 6; ++count) n *= 10;
    return n;
  }
};

// `count` digits, with leading zeros.
template <class Integer>
char* digits(char* to, Integer n, int count) noexcept {
  for (int i = count - 1; i >= 0; --i) {
    to[i] = static_cast<char>('0' + n % 10);
    n /= 10;
  }
  return to + count;
}

constexpr std::int64_t day_length = std::chrono::microseconds(std::chrono::days(1)).count();

// std::chrono's years are 16 bits wide, and timestamps reach 290,000 years from 1970. The calendar repeats itself from
// era to era.
constexpr std::int64_t era_years = 400;
constexpr std::int64_t era_days = 146'097;

// Rounded down.
constexpr std::int64_t quotient(std::int64_t n, std::int64_t by) noexcept { return n / by - (n % by < 0 ? 1 : 0); }

// Nothing when a timestamp does not reach that far. `within` is in microseconds.
std::optional<timestamp> time_at(std::int64_t day, std::int64_t within) noexcept {
  std::int64_t count = 0;
  // A day before 1970 is counted back from its end: the earliest one begins before the earliest time.
  bool before = day < 0;
  if (__builtin_mul_overflow(day + (before ? 1 : 0), day_length, &count) ||
      __builtin_add_overflow(count, within - (before ? day_length : 0), &count))
    return std::nullopt;
  return timestamp(std::chrono::microseconds(count));
}

}  // namespace

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

std::size_t bytes_of(const std::vector<value>& row) noexcept {
  std::size_t bytes = 16 * row.size();
  for (const value& v : row) {
    if (const auto* text = std::get_if<std::string>(&v)) bytes += text->size();
    if (const auto* b = std::get_if<blob>(&v)) bytes += b->bytes.size();
  }
  return bytes;
}

std::string format_timestamp(timestamp t) {
  std::array<char, 32> text;
  return std::string(text.data(), write_timestamp(t, text));
}

std::optional<timestamp> parse_timestamp(std::string_view text) noexcept {
  using namespace std::chrono;
  reader in{text};
  bool negative = in.take('-');
  std::int64_t y = in.number(negative ? 1 : 4, 6);
  in.expect('-');
  int m = in.field();
  in.expect('-');
  int d = in.field();
  bool has_t = in.take('T');
  if (!has_t) in.expect(' ');
  int hour = in.field();
  in.expect(':');
  int minute = in.field();
  in.expect(':');
  int second = in.field();
  std::int64_t micros = in.take('.') ? in.microseconds() : 0;
  if (has_t) in.expect('Z');
  if (!in.good || !in.rest.empty() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  if (negative) y = -y;
  std::int64_t era = quotient(y, era_years);
  year_month_day date{year(static_cast<int>(y - era * era_years)), month(static_cast<unsigned>(m)),
                      day(static_cast<unsigned>(d))};
  if (!date.ok()) return std::nullopt;
  std::chrono::microseconds within =
      hours(hour) + minutes(minute) + seconds(second) + std::chrono::microseconds(micros);
  return time_at(sys_days(date).time_since_epoch().count() + era * era_days, within.count());
}

std::size_t write_timestamp(timestamp t, std::span<char, 32> to) noexcept {
  // By division: std::chrono::floor multiplies the day out again, which overflows for the earliest times.
  std::int64_t since_1970 = t.time_since_epoch().count();
  std::int64_t day = quotient(since_1970, day_length);
  std::int64_t within = since_1970 % day_length + (since_1970 % day_length < 0 ? day_length : 0);
  std::int64_t era = quotient(day, era_days);
  std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day - era * era_days))};
  std::chrono::hh_mm_ss time{std::chrono::microseconds(within)};
  char* end = to.data();
  std::int64_t year = static_cast<int>(date.year()) + era * era_years;
  if (year >= 0 && year <= 9999) {
    end = digits(end, year, 4);
  } else {
    if (year < 0) *end++ = '-';
    end = std::to_chars(end, to.data() + to.size(), std::abs(year)).ptr;
  }
  *end++ = '-';
  end = digits(end, static_cast<unsigned>(date.month()), 2);
  *end++ = '-';
  end = digits(end, static_cast<unsigned>(date.day()), 2);
  *end++ = 'T';
  end = digits(end, time.hours().count(), 2);
  *end++ = ':';
  end = digits(end, time.minutes().count(), 2);
  *end++ = ':';
  end = digits(end, time.seconds().count(), 2);
  *end++ = '.';
  end = digits(end, time.subseconds().count(), 6);
  *end++ = 'Z';
  return static_cast<std::size_t>(end - to.data());
}

}  // namespace penstock::db
