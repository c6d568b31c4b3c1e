#include "penstock/core/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>

namespace penstock {
namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<unit, 9> byte_units{{{"TiB", 1ULL << 40},
                                          {"TB", 1'000'000'000'000},
                                          {"GiB", 1ULL << 30},
                                          {"GB", 1'000'000'000},
                                          {"MiB", 1ULL << 20},
                                          {"MB", 1'000'000},
                                          {"KiB", 1ULL << 10},
                                          {"KB", 1'000},
                                          {"B", 1}}};

constexpr std::array<unit, 8> time_units{{{"d", 86'400'000'000'000},
                                          {"h", 3'600'000'000'000},
                                          {"m", 60'000'000'000},
                                          {"s", 1'000'000'000},
                                          {"ms", 1'000'000},
                                          {"us", 1'000},
                                          {"ns", 1},
                                          {"min", 60'000'000'000}}};

constexpr std::uint64_t largest = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void fail(std::string_view text, std::string_view expected) {
  throw error(core_errc::bad_unit, "'" + std::string(text) + "': expected " + std::string(expected));
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

void skip_spaces(std::string_view& text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
}

std::string_view take_word(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && ((text[n] | 0x20) >= 'a' && (text[n] | 0x20) <= 'z')) ++n;
  std::string_view word = text.substr(0, n);
  text.remove_prefix(n);
  return word;
}

// Plain decimal digits with an optional fraction; exponents, signs and names such as "inf" are no sizes.
bool take_number(std::string_view& text, double& fraction, std::uint64_t& whole, bool& exact) {
  std::size_t n = 0;
  while (n < text.size() && ((text[n] >= '0' && text[n] <= '9') || text[n] == '.')) ++n;
  if (n == 0) return false;
  const char* end = text.data() + n;
  auto as_whole = std::from_chars(text.data(), end, whole);
  exact = as_whole.ec == std::errc() && as_whole.ptr == end;
  auto as_real = std::from_chars(text.data(), end, fraction, std::chars_format::fixed);
  if (as_real.ec != std::errc() || as_real.ptr != end) return false;
  text.remove_prefix(n);
  return true;
}

// The amount in the smallest unit; exact for whole numbers. Returns false when it does not fit.
bool scale(double fraction, std::uint64_t whole, bool exact, std::uint64_t factor, std::uint64_t& result) {
  if (exact) return !__builtin_mul_overflow(whole, factor, &result) && result <= largest;
  double real = fraction * static_cast<double>(factor);
  if (real >= static_cast<double>(largest)) return false;
  result = static_cast<std::uint64_t>(std::llround(real));
  return true;
}

}  // namespace

std::uint64_t parse_bytes(std::string_view text) {
  constexpr std::string_view expected = "a size such as 512, 64KiB, 4MiB or 1GB";
  std::string_view rest = text;
  double fraction = 0;
  std::uint64_t whole = 0;
  std::uint64_t result = 0;
  bool exact = false;
  skip_spaces(rest);
  if (!take_number(rest, fraction, whole, exact)) fail(text, expected);
  skip_spaces(rest);
  std::string_view name = take_word(rest);
  skip_spaces(rest);
  if (!rest.empty()) fail(text, expected);
  if (name.empty()) name = "B";
  for (const unit& u : byte_units) {
    if (!same_ignoring_case(u.name, name)) continue;
    if (u.factor == 1 && !exact) fail(text, "a whole number of bytes");
    if (!scale(fraction, whole, exact, u.factor, result)) fail(text, "a size below 2^63 bytes");
    if (result == 0 && fraction > 0) fail(text, "0, or a size of a byte or more");
    return result;
  }
  fail(text, expected);
}

std::chrono::nanoseconds parse_duration(std::string_view text) {
  constexpr std::string_view expected = "a duration such as 500us, 1ms, 30s, 5m or 2h30m";
  std::string_view rest = text;
  skip_spaces(rest);
  if (rest == "0") return std::chrono::nanoseconds(0);
  std::uint64_t total = 0;
  std::uint64_t previous_factor = ~0ULL;
  do {
    double fraction = 0;
    std::uint64_t whole = 0;
    std::uint64_t part = 0;
    bool exact = false;
    if (!take_number(rest, fraction, whole, exact)) fail(text, expected);
    skip_spaces(rest);
    std::string_view name = take_word(rest);
    skip_spaces(rest);
    const unit* found = nullptr;
    for (const unit& u : time_units)
      if (u.name == name) found = &u;
    if (found == nullptr || found->factor >= previous_factor) fail(text, expected);
    previous_factor = found->factor;
    if (!scale(fraction, whole, exact, found->factor, part) || part > largest - total)
      fail(text, "a duration below 292 years");
    if (part == 0 && fraction > 0) fail(text, "0, or a duration of a nanosecond or more");
    total += part;
  } while (!rest.empty());
  return std::chrono::nanoseconds(static_cast<std::int64_t>(total));
}

std::string format_bytes(std::uint64_t bytes) {
  for (const unit& u : byte_units) {
    bool binary = u.name.size() == 3;
    if (binary && bytes >= u.factor && bytes % u.factor == 0)
      return std::to_string(bytes / u.factor) + std::string(u.name);
  }
  return std::to_string(bytes);
}

std::string format_duration(std::chrono::nanoseconds duration) {
  auto count = static_cast<std::uint64_t>(duration.count() < 0 ? 0 : duration.count());
  if (count == 0) return "0";
  for (const unit& u : time_units)
    if (count % u.factor == 0) return std::to_string(count / u.factor) + std::string(u.name);
  return std::to_string(count) + "ns";
}

}  // namespace penstock
