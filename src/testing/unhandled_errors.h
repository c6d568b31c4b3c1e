#pragma once

#include "penstock/async/error.h"

#include <exception>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace penstock::testing {

// Collects the errors that nobody retrieves, from its construction to its destruction.
class unhandled_errors {
 public:
  unhandled_errors()
      : outer_(set_unhandled_error_handler([this](std::exception_ptr error, std::string_view where) {
          std::lock_guard lock(mutex_);
          seen_.emplace_back(std::move(error), where);
        })) {}
  unhandled_errors(const unhandled_errors&) = delete;
  unhandled_errors& operator=(const unhandled_errors&) = delete;
  ~unhandled_errors() { set_unhandled_error_handler(std::move(outer_)); }

  using list = std::vector<std::pair<std::exception_ptr, std::string>>;
  list take() {
    std::lock_guard lock(mutex_);
    return std::exchange(seen_, {});
  }

 private:
  std::mutex mutex_;
  list seen_;
  unhandled_error_handler outer_;
};

}  // namespace penstock::testing
