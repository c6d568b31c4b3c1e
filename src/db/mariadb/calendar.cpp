#include "calendar.h"

#include <chrono>
#include <cstdio>

namespace penstock::db::mariadb {
namespace {

void write_digits(char* to, unsigned long number, int digits) noexcept {
  for (int i = digits - 1; i >= 0; --i, number /= 10) to[i] = static_cast<char>('0' + number % 10);
}

}  // namespace

std::optional<MYSQL_TIME> to_datetime(timestamp t) noexcept {
  using namespace std::chrono;
  constexpr timestamp first = sys_days(year(1) / 1 / 1);
  constexpr timestamp end = sys_days(year(10'000) / 1 / 1);
  if (t < first || t >= end) return std::nullopt;
  sys_days day = floor<days>(t);
  year_month_day date(day);
  hh_mm_ss<microseconds> time(t - day);
  MYSQL_TIME made{};
  made.year = static_cast<unsigned>(static_cast<int>(date.year()));
  made.month = static_cast<unsigned>(date.month());
  made.day = static_cast<unsigned>(date.day());
  made.hour = static_cast<unsigned>(time.hours().count());
  made.minute = static_cast<unsigned>(time.minutes().count());
  made.second = static_cast<unsigned>(time.seconds().count());
  made.second_part = static_cast<unsigned long>(time.subseconds().count());
  made.time_type = MYSQL_TIMESTAMP_DATETIME;
  return made;
}

std::optional<timestamp> from_datetime(const MYSQL_TIME& t) noexcept {
  using namespace std::chrono;
  year_month_day date(year(static_cast<int>(t.year)), month(t.month), day(t.day));
  if (!date.ok()) return std::nullopt;
  return sys_days(date) + hours(t.hour) + minutes(t.minute) + seconds(t.second) +
         microseconds(static_cast<std::int64_t>(t.second_part));
}

void write_datetime(const MYSQL_TIME& t, std::span<char, 26> to) noexcept {
  char* at = to.data();
  write_digits(at, t.year, 4);
  at[4] = '-';
  write_digits(at + 5, t.month, 2);
  at[7] = '-';
  write_digits(at + 8, t.day, 2);
  at[10] = ' ';
  write_digits(at + 11, t.hour, 2);
  at[13] = ':';
  write_digits(at + 14, t.minute, 2);
  at[16] = ':';
  write_digits(at + 17, t.second, 2);
  at[19] = '.';
  write_digits(at + 20, t.second_part, 6);
}

// What has no parts that are not 0 comes without any, and the library does not say of what kind it is.
std::string format_time(const MYSQL_TIME& t, enum_field_types type) {
  char text[26];
  if (type != MYSQL_TYPE_TIME) {
    write_datetime(t, text);
    return std::string(text, type == MYSQL_TYPE_DATE ? 10 : 26);
  }
  std::string made = t.neg ? "-" : "";
  unsigned hours = t.day * 24 + t.hour;
  int size = std::snprintf(text, sizeof(text), "%02u:%02u:%02u", hours, t.minute, t.second);
  made.append(text, static_cast<std::size_t>(size));
  if (t.second_part == 0) return made;
  write_digits(text, t.second_part, 6);
  return made.append(".").append(text, 6);
}

}  // namespace penstock::db::mariadb
