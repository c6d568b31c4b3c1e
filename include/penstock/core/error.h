#pragma once

// The root of every failure Penstock reports. Throw an `error` (or a type derived from it) when something
// went wrong that a caller may want to tell apart by code; add context while it travels up.
//
//   throw error(core_errc::bad_unit, "'5 parsecs': expected a size such as 4MiB");

#include <concepts>
#include <exception>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace penstock {

/// An enum that names errors: `code_name(e)`, found by argument-dependent lookup, gives its stable string,
/// such as "http.body_too_large". The string is what logs and the wire carry; it never changes meaning.
template <class E>
concept error_enum = std::is_enum_v<E> && requires(E e) {
  { code_name(e) } -> std::convertible_to<std::string_view>;
};

/// A failure with a stable code, a message, the context added on its way up, and its cause.
///
/// Copies share one state, so adding context to a copy of a caught error is seen by all of them; an error is
/// therefore added to by one task at a time.
class error : public std::exception {
 public:
  /// `message` says what is wrong, naming the thing, and what to do next. `cause` is the exception that led to
  /// this one, or null. `where` is where the error was made; tracebacks end with it.
  template <error_enum Code>
  error(Code code, std::string message, std::exception_ptr cause = {},
        std::source_location where = std::source_location::current())
      : error(std::string_view(code_name(code)), std::move(message), std::move(cause), where) {}

  error(const error&) noexcept = default;
  error& operator=(const error&) noexcept = default;
  ~error() override;

  /// The stable code, such as "async.operation_cancelled". Static storage.
  std::string_view code() const noexcept;
  /// True when the error has this code.
  template <error_enum Code>
  bool is(Code code) const noexcept {
    return this->code() == std::string_view(code_name(code));
  }
  /// The message without context.
  const std::string& message() const noexcept;
  /// Adds a phrase that says what was going on, such as "while reading orders.csv". Innermost first.
  error& add_context(std::string phrase);
  /// What was added so far, innermost first.
  std::span<const std::string> context() const noexcept;
  /// The exception that led to this one; null when there was none.
  std::exception_ptr cause() const noexcept;
  /// Where the error was made.
  const std::source_location& where() const noexcept;
  /// The message, followed by the context in brackets.
  const char* what() const noexcept override;

 private:
  error(std::string_view code, std::string message, std::exception_ptr cause, std::source_location where);

  struct state;
  std::shared_ptr<state> state_;
};

/// Errors of the core room.
enum class core_errc {
  bad_unit,  ///< A text is not a size or a duration.
};

/// The stable code of a core error.
constexpr std::string_view code_name(core_errc code) noexcept {
  switch (code) {
    case core_errc::bad_unit:
      return "core.bad_unit";
  }
  return "core.unknown";
}

}  // namespace penstock
