#pragma once

// What the tests of this room share: a task is run in virtual time, and failures are caught to be looked at.

#include <penstock/async/scheduler.h>
#include <penstock/async/task.h>
#include <penstock/core/traceback.h>
#include <penstock/testing/simulation.h>

#include <chrono>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace penstock {

using namespace std::chrono_literals;

template <class T>
T in_virtual_time(task<T> main) {
  testing::simulation sim;
  return sim.run(std::move(main));
}

// What a task fails with; null when it does not.
template <class T>
task<std::exception_ptr> failure_of(task<T> inner) {
  try {
    co_await std::move(inner);
  } catch (...) {
    co_return std::current_exception();
  }
  co_return nullptr;
}

// Type, code and message of what a task fails with.
template <class T>
task<std::string> fails_with(task<T> inner) {
  task<std::exception_ptr> settled = failure_of(std::move(inner));
  std::exception_ptr failure = co_await std::move(settled);
  co_return describe(failure);
}

// The failures attached to one, described.
inline std::vector<std::string> attached_to(const std::exception_ptr& failure) {
  std::vector<std::string> result;
  for (const std::exception_ptr& beside : attached_failures(failure)) result.push_back(describe(beside));
  return result;
}

// Virtual time since the run began.
inline duration elapsed() {
  static const time_point start = time_point(std::chrono::hours(1));
  return scheduler::current().now() - start;
}

// Counts how many of its copies are alive: what is neither moved from nor destroyed leaks.
class counted {
 public:
  explicit counted(int& alive, int v = 0) : value(v), alive_(&alive) { ++alive; }
  counted(counted&& other) noexcept : value(other.value), alive_(std::exchange(other.alive_, nullptr)) {}
  counted& operator=(counted&& other) noexcept {
    std::swap(alive_, other.alive_);
    value = other.value;
    return *this;
  }
  ~counted() {
    if (alive_ != nullptr) --*alive_;
  }
  int value;

 private:
  int* alive_;
};

}  // namespace penstock
