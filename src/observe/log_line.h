#pragma once

#include "penstock/async/scheduler.h"
#include "penstock/observe/log.h"
#include "penstock/observe/request_context.h"

#include <span>
#include <string>
#include <string_view>

namespace penstock::log {

// What an exception adds to a line.
struct failure_text {
  std::string_view code;
  std::string description;
  std::string traceback;
};

// Everything a line is made of.
struct line_parts {
  level severity = level::info;
  system_time time;
  std::string_view message;
  std::span<const field> fields;
  const request_context* request = nullptr;
  const failure_text* failure = nullptr;
};

// Appends the line, without a newline at its end. In text format a traceback follows, each of its lines indented.
void append_line(std::string& out, line_format format, const line_parts& parts);

}  // namespace penstock::log
