#pragma once

// The command line: its subcommands, and how a failure is told and turned into an exit code.

#include <iosfwd>
#include <span>
#include <string>

namespace penstock::app {

/// Runs the command with its arguments, the program's name left out, and gives its exit code. Failures go to `err` as
/// "penstock: …".
int run_command_line(std::span<const std::string> arguments, std::ostream& out, std::ostream& err);

}  // namespace penstock::app
