#pragma once

// The subcommands of the penstock command, each in a file of its name, and the exit codes. A subcommand that fails
// throws, and command_line.cpp says so; one that ends otherwise sets the exit code itself.

#include <iosfwd>

namespace CLI {
class App;
}

namespace penstock::app {

/// What the program gives back to its caller.
enum exit_status : int {
  exit_ok = 0,
  exit_failure = 1,  ///< It could not do, or could not do all of, what it was asked to.
  exit_usage = 2,    ///< It was asked for something that makes no sense: wrong arguments, a wrong config.
};

/// Throws `app_errc::output_failed` unless all that was written to `out` got through. What was asked to print something
/// ends with this, since a success would say that it is there. An exit code that was set before is kept.
void flush_output(std::ostream& out);

/// Adds `penstock serve`. What it is given is read when `app` parses; `exit_code` outlives that.
void add_serve_command(CLI::App& app, int& exit_code);
/// Adds `penstock load`, likewise.
void add_load_command(CLI::App& app, int& exit_code);
/// Adds `penstock check`, likewise.
void add_check_command(CLI::App& app, int& exit_code);
/// Adds `penstock fetch`, likewise.
void add_fetch_command(CLI::App& app, int& exit_code);

}  // namespace penstock::app
