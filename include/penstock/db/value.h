#pragma once

// Values as they go into and come out of a database, alike for all drivers.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace penstock::db {

/// What a column holds.
enum class column_type { integer, real, text, boolean, timestamp, json, blob };

/// The type's name, as a config file writes it ("integer", "timestamp" …).
std::string_view name_of(column_type type) noexcept;

/// A point in time, UTC, to the microsecond.
using timestamp = std::chrono::sys_time<std::chrono::microseconds>;

/// RFC 3339 in UTC with six decimals: "2026-01-31T09:30:00.000000Z". SQLite stores timestamps so. A year beyond 9999 or
/// before 0, which RFC 3339 does not have, is written with all of its digits, and its sign.
std::string format_timestamp(timestamp t);
/// As above, into a buffer; gives the number of characters, which is 27 from year 0 to 9999.
std::size_t write_timestamp(timestamp t, std::span<char, 32> to) noexcept;

/// Reads what `format_timestamp` gives; the fraction, of up to six digits, may be missing, and a blank may stand for
/// the 'T' with no 'Z' at the end, as SQLite's own functions write it, in UTC. Nothing when the text is no such time.
std::optional<timestamp> parse_timestamp(std::string_view text) noexcept;

/// Bytes that are no text.
struct blob {
  std::vector<std::byte> bytes;
  bool operator==(const blob&) const = default;
};

/// Null, integer, real, text, boolean, timestamp or blob; owns its content. JSON travels as text.
using value = std::variant<std::monostate, std::int64_t, double, std::string, bool, timestamp, blob>;

/// What values take up, for bounds: the bytes of each text and blob, and 16 for each value.
std::size_t bytes_of(const std::vector<value>& row) noexcept;

namespace detail {
[[noreturn]] void throw_too_large(std::uint64_t n);
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
}  // namespace detail

/// A value from what C++ has at hand: any whole number becomes an integer, any text is copied, and nullptr and an empty
/// optional become null. Throws `db_errc::data` for a whole number above 9223372036854775807, which an integer does not
/// hold.
template <class T>
value to_value(T&& held) {
  using plain = std::remove_cvref_t<T>;
  if constexpr (std::is_null_pointer_v<plain> || std::is_same_v<plain, std::nullopt_t>)
    return value();
  else if constexpr (detail::is_optional<plain>)
    return held ? to_value(*std::forward<T>(held)) : value();
  else if constexpr (std::is_same_v<plain, bool>)
    return value(std::in_place_type<bool>, held);
  else if constexpr (std::is_integral_v<plain>) {
    if constexpr (std::is_unsigned_v<plain> && sizeof(plain) >= sizeof(std::int64_t))
      if (held > std::uint64_t{INT64_MAX}) detail::throw_too_large(held);
    return value(std::in_place_type<std::int64_t>, static_cast<std::int64_t>(held));
  } else if constexpr (std::is_floating_point_v<plain>)
    return value(std::in_place_type<double>, held);
  else if constexpr (std::is_convertible_v<const plain&, std::string_view> && !std::is_same_v<plain, std::string>)
    return value(std::in_place_type<std::string>, std::string_view(held));
  else
    return value(std::forward<T>(held));
}

/// One value of a batch's row; refers to bytes that the batch owns.
struct cell {
  enum class kind : std::uint8_t { null, integer, real, text, boolean, timestamp, blob };

  union {
    std::int64_t integer;  ///< of integer, boolean (0, 1) and timestamp (microseconds since 1970)
    double real;
    const char* data;
  };
  std::uint32_t size = 0;  ///< Bytes at `data`.
  kind type = kind::null;

  cell() noexcept : integer(0) {}
  std::string_view text() const noexcept { return {data, size}; }
};

}  // namespace penstock::db
