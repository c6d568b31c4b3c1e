#pragma once

// Errors of the testing room.
//
//   try { co_await open_a_real_socket(); }
//   catch (const error& e) { EXPECT_TRUE(e.is(testing_errc::real_operation)); }

#include "penstock/core/error.h"

#include <string_view>

namespace penstock::testing {

/// Errors of the testing room.
enum class testing_errc {
  real_operation,  ///< A simulated task opened a real socket, file or thread.
  bad_setting,     ///< An environment variable or option of the kit that can't be read.
};

/// The stable code of a testing error.
constexpr std::string_view code_name(testing_errc code) noexcept {
  switch (code) {
    case testing_errc::real_operation:
      return "testing.real_operation";
    case testing_errc::bad_setting:
      return "testing.bad_setting";
  }
  return "testing.unknown";
}

}  // namespace penstock::testing
