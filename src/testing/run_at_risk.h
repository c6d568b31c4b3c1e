#pragma once

// Says which run the program was in when it ends in the middle of it: by a crash, an abort, or a sanitizer's finding.
// Invariant: of those that exist, the newest is the one that is told; the signals' actions are as they were when none
// exists.

#include <csignal>
#include <string>

namespace penstock::testing {

class run_at_risk {
 public:
  // `line` runs it again. On one thread at a time.
  explicit run_at_risk(std::string line);
  run_at_risk(const run_at_risk&) = delete;
  run_at_risk& operator=(const run_at_risk&) = delete;
  ~run_at_risk();

 private:
  static void on_signal(int number, siginfo_t* info, void* context);
  static void tell() noexcept;

  std::string line_;
  run_at_risk* outer_;
};

}  // namespace penstock::testing
