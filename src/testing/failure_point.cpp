#include "penstock/testing/failure_point.h"

#include <utility>

// Invariant: the plans in force on a thread form a stack; only the top one counts.

namespace penstock::testing {
namespace {
constinit thread_local failure_plan* plan_in_force = nullptr;
}  // namespace

failure_plan::failure_plan(std::optional<std::size_t> fails) noexcept
    : fails_(fails), outer_(std::exchange(plan_in_force, this)) {}

failure_plan::~failure_plan() { plan_in_force = outer_; }

bool should_fail(std::string_view operation) {
  failure_plan* plan = plan_in_force;
  if (plan == nullptr || plan->counted_++ != plan->fails_) return false;
  plan->failed_ = operation;
  return true;
}

}  // namespace penstock::testing
