#pragma once

// What a load tells at its end.

#include "app/load/report.h"
#include <penstock/async/scheduler.h>

#include <string>

namespace penstock::app::load {

/// How a load ended, beyond what the report counts.
struct load_end {
  std::string stopped_because = {};  ///< Empty when all files were read and sent.
  bool interrupted = false;          ///< By a signal.
  duration elapsed{};
};

/// Exit codes of `penstock load`, told in its --help. Wrong usage is 2, as everywhere.
enum exit_code : int {
  all_stored = 0,      ///< Or there before, as duplicates.
  some_bad = 1,        ///< Some were rejected, or their outcome is unknown.
  could_not_send = 3,  ///< It was given up before the end, or rejects could not be written.
  interrupted = 130,
};

exit_code exit_code_of(const report& result, const load_end& end) noexcept;

/// The summary for people, several lines.
std::string summary_text(const report& result, const load_end& end);
/// The same for programs, one JSON object.
std::string summary_json(const report& result, const load_end& end);

}  // namespace penstock::app::load
