#pragma once

// What a failing simulated run says of the things it ran on: a network its connections, a database its sessions. Your
// own simulated things can say theirs.
//
//   class simulated_queue {
//     report_section report_{"queue", [this] { return std::to_string(size()) + " letters wait\n"; }};
//   };

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace penstock::testing {

class report_section;

/// The sections of one simulation, in the order they were entered.
class report_sections {
 public:
  /// Each under its title, those that are gone first, with their last words. Empty when there never was one.
  std::string text() const;

 private:
  friend class report_section;
  std::deque<std::string> last_words_;
  std::vector<const report_section*> live_;
};

/// A part of the report of a failing run. Enters the report of the simulation that runs on this thread; outside one it
/// does nothing. It may outlive the simulation. When it is destroyed before the report is made, as everything in the
/// body of a test is, the report has what it said then; of more than eight such, the last eight. On one thread.
class report_section {
 public:
  /// `title` is the line above what `describe` gives, which is lines, each with its end; it is called at any time until
  /// the section is destroyed, and never later.
  report_section(std::string title, std::function<std::string()> describe);
  report_section(const report_section&) = delete;
  report_section& operator=(const report_section&) = delete;
  ~report_section();

 private:
  friend class report_sections;
  std::string text() const;

  std::string title_;
  std::function<std::string()> describe_;
  std::weak_ptr<report_sections> of_;
};

}  // namespace penstock::testing
