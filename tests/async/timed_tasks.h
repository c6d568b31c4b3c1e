#pragma once

// The small tasks that tests of waiting put together: a result or a failure after a while, and the time that is left.

#include "virtual_time.h"
#include <penstock/async/timeout.h>

#include <optional>
#include <stdexcept>
#include <string>

namespace penstock {

inline task<int> later(int v, duration d) {
  co_await sleep_for(d);
  co_return v;
}

inline task<int> fail_after(std::string text, duration d) {
  co_await sleep_for(d);
  throw std::runtime_error(text);
}

// How long the running task has left; a negative number where it has no deadline.
inline task<duration> time_left() {
  std::optional<time_point> deadline = current_deadline();
  co_return deadline ? *deadline - scheduler::current().now() : -1ns;
}

}  // namespace penstock
