#pragma once

#include "penstock/observe/log.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

namespace penstock::log {

// Where lines go: a file or standard error, through a queue or directly.
class writer {
 public:
  virtual ~writer() = default;
  // Takes a line without its newline. Thread-safe.
  virtual void write(level severity, std::string_view line) = 0;
  // Waits until what was written before is out; false when it takes longer. Thread-safe.
  virtual bool flush(std::chrono::nanoseconds patience) noexcept = 0;
  // For the end of the process: flushes, and then waits for each line. Where the flush takes longer, it waits for none.
  virtual void write_at_once(std::chrono::nanoseconds patience) = 0;
  // Counts the lines that a full queue dropped until now, whether or not the log can tell of them. Thread-safe.
  virtual void count_overrun() noexcept = 0;
  // Opens the file again; what is written from here on goes there. Waits for nothing where there is a queue. Throws
  // `observe_errc::log_file`. Thread-safe.
  virtual void reopen() = 0;
};

// Opens the file of the options. Throws `observe_errc::log_file`.
std::unique_ptr<writer> make_writer(const options& how);

// Lines lost by all writers so far. `count_dropped` adds to it.
std::uint64_t dropped_so_far() noexcept;
void count_dropped(std::uint64_t lines) noexcept;

}  // namespace penstock::log
