#include "timestamp_text.h"

#include <chrono>

// The fields stand at fixed places (RFC 3339, 5.6), so they are read at those places; nothing is skipped and nothing
// is optional but the fraction.

namespace penstock::ingest {
namespace {

using namespace std::chrono;

constexpr sys_days first_day{year(1) / January / 1};
constexpr sys_days day_after_last{year(10'000) / January / 1};

timestamp_verdict within_years(db::timestamp t, db::timestamp& into) noexcept {
  if (t < first_day || t >= day_after_last) return timestamp_verdict::out_of_range;
  into = t;
  return timestamp_verdict::good;
}

// Reads fixed digits and separators from the left; `good` turns false at the first that is missing.
struct field_reader {
  std::string_view rest;
  bool good = true;

  int digits(int count) noexcept {
    int n = 0;
    for (int i = 0; i < count; ++i) n = n * 10 + digit();
    return n;
  }
  int digit() noexcept {
    if (!next_is_digit()) {
      good = false;
      return 0;
    }
    int n = rest.front() - '0';
    rest.remove_prefix(1);
    return n;
  }
  bool next_is_digit() const noexcept { return !rest.empty() && rest.front() >= '0' && rest.front() <= '9'; }
  bool take(std::string_view one_of) noexcept {
    if (rest.empty() || one_of.find(rest.front()) == one_of.npos) return false;
    rest.remove_prefix(1);
    return true;
  }
  void expect(std::string_view one_of) noexcept { good = take(one_of) && good; }
};

microseconds fraction(field_reader& in) noexcept {
  if (!in.take(".")) return microseconds(0);
  if (!in.next_is_digit()) in.good = false;
  std::int64_t micros = 0;
  for (std::int64_t unit = 100'000; in.next_is_digit(); unit /= 10) micros += unit * in.digit();
  return microseconds(micros);
}

}  // namespace

timestamp_verdict parse_timestamp(std::string_view text, db::timestamp& into) noexcept {
  field_reader in{text};
  int y = in.digits(4);
  in.expect("-");
  int month_number = in.digits(2);
  in.expect("-");
  int day_number = in.digits(2);
  in.expect("Tt ");
  int hour = in.digits(2);
  in.expect(":");
  int minute = in.digits(2);
  in.expect(":");
  int second = in.digits(2);
  microseconds part = fraction(in);
  minutes offset(0);
  int offset_hour = 0;
  int offset_minute = 0;
  if (!in.take("Zz")) {
    bool west = in.take("-");
    if (!west) in.expect("+");
    offset_hour = in.digits(2);
    in.expect(":");
    offset_minute = in.digits(2);
    offset = minutes(offset_hour * 60 + offset_minute) * (west ? -1 : 1);
  }
  if (!in.good || !in.rest.empty()) return timestamp_verdict::malformed;
  year_month_day date(year(y), month(static_cast<unsigned>(month_number)), day(static_cast<unsigned>(day_number)));
  bool exists = date.ok() && hour < 24 && minute < 60 && second <= 60 && offset_hour < 24 && offset_minute < 60;
  if (!exists) return timestamp_verdict::out_of_range;
  db::timestamp t = sys_days(date) + hours(hour) + minutes(minute) + seconds(second) - offset;
  bool leap_second_elsewhere = second == 60 && t.time_since_epoch() % days(1) != microseconds(0);
  if (leap_second_elsewhere) return timestamp_verdict::out_of_range;
  return within_years(t + part, into);
}

timestamp_verdict timestamp_of_milliseconds(std::int64_t milliseconds, db::timestamp& into) noexcept {
  constexpr std::int64_t bound = 1'000'000'000'000'000;  // beyond all years, and far from overflow in microseconds
  if (milliseconds <= -bound || milliseconds >= bound) return timestamp_verdict::out_of_range;
  return within_years(db::timestamp(std::chrono::milliseconds(milliseconds)), into);
}

}  // namespace penstock::ingest
