#pragma once

// The penstock-chaos command: a chaos proxy as a program.

#include <iosfwd>
#include <span>
#include <string>

namespace penstock::app::chaos {

/// Runs it with its arguments, the program's name left out, until SIGINT or SIGTERM, and gives its exit code. Says
/// where it listens on `out`; failures go to `err`.
int run_command(std::span<const std::string> arguments, std::ostream& out, std::ostream& err);

}  // namespace penstock::app::chaos
