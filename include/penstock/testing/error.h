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
  real_operation,   ///< A simulated task opened a real socket, or did something else that no run repeats.
  bad_setting,      ///< An environment variable or option of the kit that can't be read.
  off_script,       ///< A peer said something else than a script expects.
  value_was_given,  ///< A mock has to give a value that can only be moved a second time.
  unprovided_call,  ///< A mocked call was awaited that no expectation and no ON_CALL provides for.
};

/// The stable code of a testing error.
constexpr std::string_view code_name(testing_errc code) noexcept {
  switch (code) {
    case testing_errc::real_operation:
      return "testing.real_operation";
    case testing_errc::bad_setting:
      return "testing.bad_setting";
    case testing_errc::off_script:
      return "testing.off_script";
    case testing_errc::value_was_given:
      return "testing.value_was_given";
    case testing_errc::unprovided_call:
      return "testing.unprovided_call";
  }
  return "testing.unknown";
}

}  // namespace penstock::testing
