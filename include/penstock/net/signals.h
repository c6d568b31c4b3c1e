#pragma once

// Waiting for signals in a task.
//
//   signal_set quit{SIGINT, SIGTERM};
//   int number = co_await quit.wait();

#include "penstock/async/task.h"

#include <initializer_list>
#include <memory>

namespace penstock::net {

/// Takes over signals of the process while it lives, on the running task's loop.
class signal_set {
 public:
  signal_set(std::initializer_list<int> numbers);
  signal_set(const signal_set&) = delete;
  signal_set& operator=(const signal_set&) = delete;
  ~signal_set();

  /// Awaits the next of the signals and gives its number; one that came since the last wait counts. Cancellable.
  task<int> wait();

 private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

}  // namespace penstock::net
