#include "penstock/observe/log_value.h"

#include "observe/escape.h"
#include "penstock/core/units.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace penstock::log::detail {
namespace {

template <class Number>
void append_number(std::string& out, Number value) {
  std::array<char, 32> digits{};
  auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), end.ptr);
}

}  // namespace

void append_integer(std::string& out, std::int64_t value) { append_number(out, value); }
void append_unsigned(std::string& out, std::uint64_t value) { append_number(out, value); }
void append_real(std::string& out, double value) { append_number(out, value); }

void append_duration(std::string& out, std::chrono::nanoseconds value) {
  if (value < std::chrono::nanoseconds::zero()) {
    out += '-';
    value = -std::max(value, -std::chrono::nanoseconds::max());
  }
  out += format_duration(value);
}

void append_text(std::string& out, std::string_view text) {
  out += '"';
  append_cut(out, text);
  out += '"';
}

void append_cut(std::string& out, std::string_view text) {
  append_escaped(out, text, escaping::plain, most_argument_bytes);
}

}  // namespace penstock::log::detail
