#pragma once

// How a value is shown in a log line, shortly: arguments of `traced`. For a type of your own, write beside it
//
//   std::string log_value(const order& o) { return "order " + o.number; }

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace penstock::log {

/// Wraps an argument of `traced` that must not be shown: the function gets the value, the log "[redacted]".
template <class T>
class secret {
 public:
  explicit secret(T value) : value_(std::move(value)) {}
  const T& reveal() const& noexcept { return value_; }
  T&& reveal() && noexcept { return std::move(value_); }

 private:
  T value_;
};

namespace detail {

inline constexpr std::size_t most_argument_bytes = 64;
inline constexpr std::size_t most_shown_items = 3;

void append_integer(std::string& out, std::int64_t value);
void append_unsigned(std::string& out, std::uint64_t value);
void append_real(std::string& out, double value);
void append_duration(std::string& out, std::chrono::nanoseconds value);
// In quotes, cut at `most_argument_bytes`.
void append_text(std::string& out, std::string_view text);
void append_cut(std::string& out, std::string_view text);

template <class T>
concept has_log_value = requires(const T& value) {
  { log_value(value) } -> std::convertible_to<std::string>;
};
template <class T>
inline constexpr bool is_secret = false;
template <class T>
inline constexpr bool is_secret<secret<T>> = true;
template <class T>
inline constexpr bool is_duration = false;
template <class Rep, class Period>
inline constexpr bool is_duration<std::chrono::duration<Rep, Period>> = true;
template <class T>
inline constexpr bool is_reference_wrapper = false;
template <class T>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<T>> = true;
// Optionals and smart pointers: what may be there or not.
template <class T>
concept maybe = requires(const T& value) {
  static_cast<bool>(value);
  *value;
}
&&!std::is_pointer_v<T>;

template <class T>
void append_value(std::string& out, const T& value);

template <class Range>
void append_range(std::string& out, const Range& range) {
  out += '[';
  std::size_t shown = 0;
  for (const auto& item : range) {
    if (shown != 0) out += ", ";
    if (shown == most_shown_items) {
      out += "...";
      break;
    }
    append_value(out, item);
    ++shown;
  }
  out += ']';
  if constexpr (std::ranges::sized_range<const Range>) {
    if (std::ranges::size(range) > shown) {
      out += " of ";
      append_unsigned(out, std::ranges::size(range));
    }
  }
}

template <class T>
void append_value(std::string& out, const T& value) {
  if constexpr (has_log_value<T>)
    append_cut(out, log_value(value));
  else if constexpr (is_secret<T>)
    out += "[redacted]";
  else if constexpr (is_reference_wrapper<T>)
    append_value(out, value.get());
  else if constexpr (std::same_as<T, bool>)
    out += value ? "true" : "false";
  else if constexpr (std::signed_integral<T>)
    append_integer(out, value);
  else if constexpr (std::unsigned_integral<T>)
    append_unsigned(out, value);
  else if constexpr (std::floating_point<T>)
    append_real(out, static_cast<double>(value));
  else if constexpr (std::is_enum_v<T>)
    append_integer(out, static_cast<std::int64_t>(value));
  else if constexpr (std::same_as<T, const char*> || std::same_as<T, char*>)
    append_text(out, value == nullptr ? std::string_view("null") : std::string_view(value));
  else if constexpr (std::convertible_to<const T&, std::string_view>)
    append_text(out, value);
  else if constexpr (is_duration<T>)
    append_duration(out, std::chrono::duration_cast<std::chrono::nanoseconds>(value));
  else if constexpr (std::convertible_to<const T&, std::string>)
    append_text(out, static_cast<std::string>(value));
  else if constexpr (std::ranges::input_range<const T>)
    append_range(out, value);
  else if constexpr (maybe<T>)
    value ? append_value(out, *value) : append_cut(out, "none");
  else
    out += "...";  // a type that has no log_value
}

}  // namespace detail
}  // namespace penstock::log
