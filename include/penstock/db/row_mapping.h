#pragma once

// Rows as structs, by position: the first column becomes the first member, and so on. Not for queries whose columns are
// known only at run time: read their `result`.
//
//   struct customer { std::int64_t id; std::string name; std::optional<double> balance; };
//   result r = co_await c.query("SELECT id, name, balance FROM customer");
//   std::vector<customer> all = rows_as<customer>(r);

#include "penstock/db/connection.h"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock::db {

namespace detail {

template <class T>
concept character = std::same_as<T, char> || std::same_as<T, wchar_t> || std::same_as<T, char8_t> ||
    std::same_as<T, char16_t> || std::same_as<T, char32_t>;

template <class T>
concept plain_member = (std::is_arithmetic_v<T> && !character<T>) || std::same_as<T, std::string> ||
                       std::same_as<T, timestamp> || std::same_as<T, blob>;

// Stands for a member of any type that a column can become, to count members with. An optional takes it by way of what
// it holds.
struct any_member {
  template <plain_member T>
  operator T() const;
};

// Stands for a member of whatever type.
struct anything {
  template <class T>
  requires(!is_optional<T>) operator T() const;
};

template <class T, class Member, std::size_t... I>
constexpr bool takes_members(std::index_sequence<I...>) {
  return requires { T{((void)I, Member())...}; };
}

constexpr std::size_t most_members = 12;

template <class T, class Member = any_member, std::size_t N = most_members + 1>
constexpr std::size_t count_members() {
  if constexpr (N == 0)
    return 0;
  else if constexpr (takes_members<T, Member>(std::make_index_sequence<N>()))
    return N;
  else
    return count_members<T, Member, N - 1>();
}

// Whether a row can become one.
template <class T>
constexpr bool is_row() {
  constexpr std::size_t members = count_members<T>();
  return members > 0 && members <= most_members && members == count_members<T, anything>();
}

template <class T>
auto members_of(T& t) {
  constexpr std::size_t n = count_members<T>();
  if constexpr (n == 1) {
    auto& [a] = t;
    return std::tie(a);
  } else if constexpr (n == 2) {
    auto& [a, b] = t;
    return std::tie(a, b);
  } else if constexpr (n == 3) {
    auto& [a, b, c] = t;
    return std::tie(a, b, c);
  } else if constexpr (n == 4) {
    auto& [a, b, c, d] = t;
    return std::tie(a, b, c, d);
  } else if constexpr (n == 5) {
    auto& [a, b, c, d, e] = t;
    return std::tie(a, b, c, d, e);
  } else if constexpr (n == 6) {
    auto& [a, b, c, d, e, f] = t;
    return std::tie(a, b, c, d, e, f);
  } else if constexpr (n == 7) {
    auto& [a, b, c, d, e, f, g] = t;
    return std::tie(a, b, c, d, e, f, g);
  } else if constexpr (n == 8) {
    auto& [a, b, c, d, e, f, g, h] = t;
    return std::tie(a, b, c, d, e, f, g, h);
  } else if constexpr (n == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = t;
    return std::tie(a, b, c, d, e, f, g, h, i);
  } else if constexpr (n == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = t;
    return std::tie(a, b, c, d, e, f, g, h, i, j);
  } else if constexpr (n == 11) {
    auto& [a, b, c, d, e, f, g, h, i, j, k] = t;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k);
  } else {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l] = t;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k, l);
  }
}

// Each gives false when the value can't become such a member.
bool read_integer(const value& from, std::int64_t least, std::int64_t most, std::int64_t& to) noexcept;
bool read_unsigned(const value& from, std::uint64_t& to) noexcept;
bool read_real(const value& from, double& to) noexcept;
bool read_float(const value& from, float& to) noexcept;
bool read_boolean(const value& from, bool& to) noexcept;
bool read_timestamp(const value& from, timestamp& to) noexcept;

template <class T>
bool read_member(const value& from, T& to) {
  if constexpr (is_optional<T>) {
    if (std::holds_alternative<std::monostate>(from)) {
      to.reset();
      return true;
    }
    return read_member(from, to.emplace());
  } else if constexpr (std::is_same_v<T, bool>) {
    return read_boolean(from, to);
  } else if constexpr (std::is_same_v<T, timestamp>) {
    return read_timestamp(from, to);
  } else if constexpr (std::is_unsigned_v<T> && sizeof(T) == sizeof(std::uint64_t)) {
    std::uint64_t n = 0;
    bool fits = read_unsigned(from, n);
    to = static_cast<T>(n);
    return fits;
  } else if constexpr (std::is_integral_v<T>) {
    using limits = std::numeric_limits<T>;
    std::int64_t n = 0;
    bool fits = read_integer(from, limits::min(), limits::max(), n);
    to = static_cast<T>(n);
    return fits;
  } else if constexpr (std::is_same_v<T, float>) {
    return read_float(from, to);
  } else if constexpr (std::is_floating_point_v<T>) {
    double d = 0;
    bool fits = read_real(from, d);
    to = static_cast<T>(d);
    return fits;
  } else {
    const T* held = std::get_if<T>(&from);
    if (held != nullptr) to = *held;
    return held != nullptr;
  }
}

template <class T>
constexpr std::string_view member_name() {
  if constexpr (is_optional<T>)
    return member_name<typename T::value_type>();
  else if constexpr (std::is_same_v<T, bool>)
    return "a boolean";
  else if constexpr (std::is_integral_v<T>)
    return std::is_signed_v<T> ? "a whole number of its size" : "a whole number of its size, not below zero";
  else if constexpr (std::is_same_v<T, float>)
    return "a real number of its size";
  else if constexpr (std::is_floating_point_v<T>)
    return "a real number";
  else if constexpr (std::is_same_v<T, std::string>)
    return "a text";
  else if constexpr (std::is_same_v<T, timestamp>)
    return "a timestamp";
  else
    return "a blob";
}

void require_columns(const result& r, std::size_t members);
[[noreturn]] void throw_misfit(const result& r, std::size_t row, std::size_t column, std::string_view member);

}  // namespace detail

/// The rows of a result as structs: aggregates of 1 to 12 members, which are whole or real numbers, booleans (not
/// `char`), `std::string`, `timestamp`, `blob`, or a `std::optional` of one of these, which alone takes null. A whole
/// number must fit its member, to the last digit where that is a real number. A real number is rounded to a `float` and
/// must be in its range. 0 and 1 are booleans too, and a text that `parse_timestamp` reads is a timestamp, as SQLite
/// has them. A text that is a number and nothing else is one too, as the servers' decimals come (and MariaDB's BIGINT
/// UNSIGNED beyond 2⁶³ - 1): without a point for a whole number, rounded for a real one, `NaN` and `Infinity` too.
/// Throws `db_errc::data` naming the row, the column, a number that is too large, and the member's type when a value
/// can't become its member, and when there are more or fewer columns than members.
template <class T>
requires std::is_aggregate_v<T> std::vector<T> rows_as(const result& r) {
  constexpr bool is_row = detail::is_row<T>();
  static_assert(is_row, "the struct has a member that no column can become, or more than 12, or none");
  std::vector<T> all(r.rows.size());
  if constexpr (is_row) {  // else the message above would be followed by many
    detail::require_columns(r, detail::count_members<T>());
    for (std::size_t row = 0; row < all.size(); ++row) {
      std::size_t column = 0;
      auto read = [&](auto& member) {
        using member_type = std::remove_reference_t<decltype(member)>;
        if (!detail::read_member(r.rows[row][column], member))
          detail::throw_misfit(r, row, column, detail::member_name<member_type>());
        ++column;
      };
      std::apply([&](auto&... member) { (read(member), ...); }, detail::members_of(all[row]));
    }
  }
  return all;
}

}  // namespace penstock::db
