#include "penstock/observe/log_capture.h"

#include "observe/log_pipeline.h"

namespace penstock::log {

capture::capture(line_format format, level threshold) : previous_(current_options()) {
  set_line_options(format, threshold);
  set_sink_for_tests([this](level, std::string_view line) {
    std::lock_guard lock(mutex_);
    lines_.emplace_back(line);
  });
}

capture::~capture() {
  set_sink_for_tests(nullptr);
  set_line_options(previous_.format, previous_.threshold);
}

std::vector<std::string> capture::lines() const {
  std::lock_guard lock(mutex_);
  return lines_;
}

std::string capture::text() const {
  std::string all;
  for (const std::string& line : lines()) all.append(line).append("\n");
  return all;
}

void capture::clear() {
  std::lock_guard lock(mutex_);
  lines_.clear();
}

}  // namespace penstock::log
