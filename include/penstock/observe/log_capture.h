#pragma once

// What was logged while it lives, for tests.
//
//   log::capture logged(log::line_format::json);
//   store_items();
//   EXPECT_THAT(logged.lines(), Contains(HasSubstr("batch committed")));

#include "penstock/observe/log.h"

#include <mutex>
#include <string>
#include <vector>

namespace penstock::log {

/// Captures the lines of the whole process and sets level and format meanwhile. One at a time. Thread-safe.
class capture {
 public:
  explicit capture(line_format format = line_format::text, level threshold = level::debug);
  capture(const capture&) = delete;
  capture& operator=(const capture&) = delete;
  /// Restores the configuration.
  ~capture();

  /// The lines so far; one with a traceback in text format has newlines inside.
  std::vector<std::string> lines() const;
  /// The lines so far, each followed by a newline.
  std::string text() const;
  /// Forgets the lines so far.
  void clear();

 private:
  options previous_;
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

}  // namespace penstock::log
