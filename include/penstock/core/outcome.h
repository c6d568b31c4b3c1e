#pragma once

// Either the value an operation gave or the exception it ended with: what `gather_settled` and every other
// settled form return. Use it to hold results side by side; inside a task, plain exceptions read better.
//
//   outcome<int> r = …;
//   if (r) use(*r); else log::warn(describe(r.exception()));

#include "penstock/core/error.h"

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace penstock {

namespace detail {
template <class E>
const E* exception_as(const std::exception_ptr& error) noexcept {
  if (!error) return nullptr;
  try {
    std::rethrow_exception(error);
  } catch (const E& match) {
    return &match;  // The exception object lives as long as the pointer the outcome holds.
  } catch (...) {
    return nullptr;
  }
}
}  // namespace detail

/// A value of type T or an exception. Never empty. Moves and copies as its content does.
template <class T>
class [[nodiscard]] outcome {
 public:
  using value_type = T;

  outcome(T value) : content_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  /// A failure. `error` must not be null.
  outcome(std::exception_ptr error)  // NOLINT(google-explicit-constructor)
      : content_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const noexcept { return content_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// The value; rethrows the exception when there is none.
  T& value() & { return check(), std::get<0>(content_); }
  const T& value() const& { return check(), std::get<0>(content_); }
  T&& value() && { return check(), std::get<0>(std::move(content_)); }

  /// The value; there must be one.
  T& operator*() & noexcept { return *std::get_if<0>(&content_); }
  const T& operator*() const& noexcept { return *std::get_if<0>(&content_); }
  T&& operator*() && noexcept { return std::move(*std::get_if<0>(&content_)); }
  T* operator->() noexcept { return std::get_if<0>(&content_); }
  const T* operator->() const noexcept { return std::get_if<0>(&content_); }

  /// The value, or `fallback` when there is none.
  T value_or(T fallback) const& { return has_value() ? **this : std::move(fallback); }

  /// The exception; null when there is a value.
  std::exception_ptr exception() const noexcept { return has_value() ? nullptr : std::get<1>(content_); }
  /// The exception as an E, or null when it is of another type or there is a value. Valid while the outcome lives.
  template <class E>
  const E* error_as() const noexcept {
    return has_value() ? nullptr : detail::exception_as<E>(std::get<1>(content_));
  }

 private:
  void check() const {
    if (!has_value()) std::rethrow_exception(std::get<1>(content_));
  }

  std::variant<T, std::exception_ptr> content_;
};

/// Success without a value, or an exception.
template <>
class [[nodiscard]] outcome<void> {
 public:
  using value_type = void;

  outcome() noexcept = default;
  outcome(std::exception_ptr error) noexcept : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const noexcept { return !error_; }
  explicit operator bool() const noexcept { return has_value(); }
  /// Rethrows the exception, if any.
  void value() const {
    if (error_) std::rethrow_exception(error_);
  }
  std::exception_ptr exception() const noexcept { return error_; }
  template <class E>
  const E* error_as() const noexcept {
    return detail::exception_as<E>(error_);
  }

 private:
  std::exception_ptr error_;
};

}  // namespace penstock
