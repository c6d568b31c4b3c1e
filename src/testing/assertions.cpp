#include "penstock/testing/assertions.h"

#include "penstock/core/traceback.h"

// Invariant: after a failure, the message says what was expected and what came instead.

namespace penstock::testing::test_detail {

void thrown::another(const std::exception_ptr& error) {
  caught_ = true;
  message_ = std::string("Expected: ") + statement_ + " throws " + (expected_ == nullptr ? "nothing" : expected_) +
             ".\n  Actual: it throws another exception:\n" + format_traceback(error);
  if (expected_ == nullptr)
    message_ =
        std::string("Expected: ") + statement_ + " throws nothing.\n  Actual: it throws:\n" + format_traceback(error);
}

bool thrown::failed_to_throw() {
  if (!caught_)
    message_ = std::string("Expected: ") + statement_ + " throws " + expected_ + ".\n  Actual: it throws nothing.";
  return !message_.empty();
}

}  // namespace penstock::testing::test_detail
