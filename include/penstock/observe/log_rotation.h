#pragma once

// For programs that rotate log files: they rename the file, and then tell the one that writes it to open it again.
//
//   log::reopen();    // on SIGHUP

namespace penstock::log {

/// Opens the log file again by its name, and makes it when it is missing; nothing where lines go to standard error.
/// What waits in the queue goes to the new file. It waits for nothing, also where the old file takes no more lines.
/// Thread-safe. Throws `observe_errc::log_file` when the file can't be opened; the old one then stays.
void reopen();

}  // namespace penstock::log
