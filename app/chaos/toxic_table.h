#pragma once

// The names under which toxics are given, as options of penstock-chaos and as members of its JSON.

#include <penstock/testing/toxics.h>

#include <span>
#include <string>
#include <string_view>

namespace penstock::app::chaos {

/// One member of `testing::toxics`.
struct toxic {
  std::string_view name;         ///< In JSON; with hyphens and "--" before it, the option.
  std::string_view placeholder;  ///< Of its value; empty for a switch.
  std::string_view help;
  /// Reads a value; throws an error that says what was expected.
  void (*set)(testing::toxics& into, std::string_view text);
  /// The value as JSON.
  std::string (*to_json)(const testing::toxics& of);
};

/// All of them.
std::span<const toxic> toxic_table();
/// The one of that name. Throws `app_errc::bad_usage`, with the nearest name, when there is none.
const toxic& toxic_named(std::string_view name);
/// "--slice-bytes".
std::string option_name(const toxic& t);

}  // namespace penstock::app::chaos
