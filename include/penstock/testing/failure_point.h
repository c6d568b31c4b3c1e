#pragma once

// Where a simulated operation may fail. `for_each_failure` runs a scenario again and again, and lets another of the
// operations that ask here fail each time; a stand-in of your own asks in one line.
//
//   task<> write(std::string_view text) {
//     if (penstock::testing::should_fail("write")) throw net_error("the connection was reset");
//     ...

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::testing {

/// Counts one fallible operation of the running scenario, and says whether this is the one that has to fail now; it is
/// at most one of a run. False, and nothing counted, when no `failure_plan` is in force on this thread. `operation` is
/// for reports.
bool should_fail(std::string_view operation);

/// In force from its construction to its destruction, on this thread: the operation with this number, from 0, fails. A
/// plan made meanwhile takes its place until it ends. What `for_each_failure` does its runs with.
class failure_plan {
 public:
  /// Nothing fails without a number: the operations are only counted.
  explicit failure_plan(std::optional<std::size_t> fails = std::nullopt) noexcept;
  failure_plan(const failure_plan&) = delete;
  failure_plan& operator=(const failure_plan&) = delete;
  ~failure_plan();

  /// How many operations have asked so far.
  std::size_t counted() const noexcept { return counted_; }
  /// The operation that was told to fail; nullopt when that number was not reached.
  const std::optional<std::string>& failed() const noexcept { return failed_; }

 private:
  friend bool should_fail(std::string_view operation);

  std::optional<std::size_t> fails_;
  std::size_t counted_ = 0;
  std::optional<std::string> failed_;
  failure_plan* outer_;
};

}  // namespace penstock::testing
