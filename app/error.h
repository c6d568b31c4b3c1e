#pragma once

// Errors of the penstock command itself, and what they mean for its exit code.

#include <penstock/core/error.h>

#include <string_view>

namespace penstock::app {

/// Errors of the command line, the config and the output.
enum class app_errc {
  bad_usage,            ///< The arguments make no sense; exit code 2.
  bad_config,           ///< The config makes no sense; exit code 2.
  output_failed,        ///< Standard output did not take all that it should.
  too_few_descriptors,  ///< The process's limit of descriptors lets it serve nobody.
};

/// The stable code of an error of the command.
constexpr std::string_view code_name(app_errc code) noexcept {
  switch (code) {
    case app_errc::bad_usage:
      return "app.bad_usage";
    case app_errc::bad_config:
      return "app.bad_config";
    case app_errc::output_failed:
      return "app.output_failed";
    case app_errc::too_few_descriptors:
      return "app.too_few_descriptors";
  }
  return "app.unknown";
}

}  // namespace penstock::app
