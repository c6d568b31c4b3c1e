#pragma once

// What a server says on standard output once it is there. Not for what a command was asked to print: that is waited
// for, and fails where it can't be written.
//
//   announcement said("listening on http://127.0.0.1:8080\n");

#include <future>
#include <string>

#include <unistd.h>

namespace penstock::app {

/// Text that is written by a thread of its own: a pipe that nobody reads holds up that thread alone. The log warns when
/// nothing was taken for a second, and when it can't be written.
class announcement {
 public:
  /// Begins to write; all of it is written, sooner or later, where it can be. The descriptor stays open.
  explicit announcement(std::string text, int descriptor = STDOUT_FILENO);
  announcement(const announcement&) = delete;
  announcement& operator=(const announcement&) = delete;
  /// Waits for two seconds at most until it is written, or can't be: then the process may end.
  ~announcement();

 private:
  std::future<void> ended_;
};

}  // namespace penstock::app
