#include "penstock/db/value.h"

#include <array>
#include <charconv>
#include <cstdlib>

namespace penstock::db {
namespace {

// `count` digits, with leading zeros.
template <class Integer>
char* digits(char* to, Integer n, int count) noexcept {
  for (int i = count - 1; i >= 0; --i) {
    to[i] = static_cast<char>('0' + n % 10);
    n /= 10;
  }
  return to + count;
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

std::string format_timestamp(timestamp t) {
  std::array<char, 32> text;
  return std::string(text.data(), write_timestamp(t, text));
}

std::size_t write_timestamp(timestamp t, std::span<char, 32> to) noexcept {
  // By division: std::chrono::floor multiplies the day out again, which overflows for the earliest times.
  constexpr std::int64_t day_length = std::chrono::microseconds(std::chrono::days(1)).count();
  std::int64_t since_1970 = t.time_since_epoch().count();
  std::int64_t day = since_1970 / day_length - (since_1970 % day_length < 0 ? 1 : 0);
  std::int64_t within = since_1970 % day_length + (since_1970 % day_length < 0 ? day_length : 0);
  std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
  std::chrono::hh_mm_ss time{std::chrono::microseconds(within)};
  char* end = to.data();
  int year = static_cast<int>(date.year());
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
