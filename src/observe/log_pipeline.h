#pragma once

#include "penstock/observe/log.h"

namespace penstock::log {

// The configuration in force.
options current_options();
// Puts a configuration in force without touching where lines go: for `capture`.
void set_line_options(line_format format, level threshold);

// Logs and counts what nobody awaited, and what ends the process.
void install_error_handlers();

}  // namespace penstock::log
