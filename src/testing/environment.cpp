#include "environment.h"

#include "penstock/testing/error.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace penstock::testing {

std::optional<std::string> environment_text(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::optional<std::uint64_t> environment_number(const char* name) {
  std::optional<std::string> text = environment_text(name);
  if (!text) return std::nullopt;
  std::string_view digits = *text;
  int base = 10;
  if (digits.starts_with("0x")) {
    digits.remove_prefix(2);
    base = 16;
  }
  std::uint64_t number = 0;
  auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (failure != std::errc() || end != digits.data() + digits.size())
    throw error(testing_errc::bad_setting,
                std::string(name) + "=" + *text + ": expected a number, or 0x and hex digits");
  return number;
}

std::vector<std::string> environment_list(const char* name) {
  std::vector<std::string> items;
  std::string rest = environment_text(name).value_or("");
  while (!rest.empty()) {
    std::size_t comma = std::min(rest.find(','), rest.size());
    if (comma > 0) items.push_back(rest.substr(0, comma));
    rest.erase(0, comma + 1);
  }
  return items;
}

}  // namespace penstock::testing
