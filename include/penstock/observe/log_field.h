#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::log {

/// A name and a value beside a log message. Holds views: make it in the call that logs.
///
/// A value whose name says that it is a secret ("password", "access_token", "Authorization" …, see
/// `names_a_secret`) is written as "[redacted]".
class field {
 public:
  enum class kind : std::uint8_t { text, signed_integer, unsigned_integer, real, boolean, elapsed };

  constexpr field(std::string_view key, std::string_view value) noexcept : key_(key), kind_(kind::text), text_(value) {}
  constexpr field(std::string_view key, const char* value) noexcept : field(key, std::string_view(value)) {}
  field(std::string_view key, const std::string& value) noexcept : field(key, std::string_view(value)) {}
  constexpr field(std::string_view key, std::same_as<bool> auto value) noexcept
      : key_(key), kind_(kind::boolean), boolean_(value) {}
  template <std::signed_integral T>
  constexpr field(std::string_view key, T value) noexcept : key_(key), kind_(kind::signed_integer), signed_(value) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) constexpr field(std::string_view key, T value) noexcept
      : key_(key), kind_(kind::unsigned_integer), unsigned_(value) {}
  template <std::floating_point T>
  constexpr field(std::string_view key, T value) noexcept
      : key_(key), kind_(kind::real), real_(static_cast<double>(value)) {}
  /// A duration: "1.5ms" in text, seconds as a number in JSON.
  template <class Rep, class Period>
  constexpr field(std::string_view key, std::chrono::duration<Rep, Period> value) noexcept
      : key_(key), kind_(kind::elapsed), signed_(std::chrono::duration_cast<std::chrono::nanoseconds>(value).count()) {}

  constexpr std::string_view key() const noexcept { return key_; }
  constexpr kind type() const noexcept { return kind_; }
  /// The value, of the member that `type` says.
  constexpr std::string_view text() const noexcept { return text_; }
  constexpr std::int64_t signed_integer() const noexcept { return signed_; }
  constexpr std::uint64_t unsigned_integer() const noexcept { return unsigned_; }
  constexpr double real() const noexcept { return real_; }
  constexpr bool boolean() const noexcept { return boolean_; }
  constexpr std::chrono::nanoseconds elapsed() const noexcept { return std::chrono::nanoseconds(signed_); }

 private:
  std::string_view key_;
  kind kind_;
  union {
    std::string_view text_;
    std::int64_t signed_;
    std::uint64_t unsigned_;
    double real_;
    bool boolean_;
  };
};

}  // namespace penstock::log
