#pragma once

// The command line: its subcommands, and how a failure is told and turned into an exit code.

#include <iosfwd>
#include <span>
#include <string>

namespace CLI {
class App;
}

namespace penstock::app {

/// Runs the command with its arguments, the program's name left out, and gives its exit code. Failures go to `err` as
/// "penstock: …".
int run_command_line(std::span<const std::string> arguments, std::ostream& out, std::ostream& err);

/// Parses the arguments of a program, whose callbacks do the work, and gives its exit code: `exit_code`, unless
/// something failed. Failures go to `err` under the app's name.
int run(CLI::App& app, std::span<const std::string> arguments, const int& exit_code, std::ostream& out,
        std::ostream& err);

}  // namespace penstock::app
