#pragma once

// Ends the program when a test makes no end in real time. Invariant: at most one is armed at a time; the thread behind
// it ends with it.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace penstock::testing {

class watchdog {
 public:
  // `ask` is called on the watchdog's thread when the time is up, and has `patience` to make the test's thread call
  // `end_program` with a list of its tasks; `last_resort` lists what it can from the outside then.
  watchdog(std::string test, std::chrono::seconds limit, std::function<void()> ask,
           std::function<std::string()> last_resort);
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;
  ~watchdog();

  [[noreturn]] void end_program(const std::string& tasks) const;
  // The limit of a test's options, or of the environment.
  static std::chrono::seconds limit_from_environment(std::chrono::seconds otherwise);

 private:
  void watch();

  std::string test_;
  std::chrono::seconds limit_;
  std::function<void()> ask_;
  std::function<std::string()> last_resort_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace penstock::testing
