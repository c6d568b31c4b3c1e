#pragma once

// A configuration as TOML, and the reference of all there is to configure.

#include "app/serve/config.h"

#include <string>

namespace penstock::app {

/// Valid TOML that gives the same configuration again, each value with a comment saying where it came from. Passwords
/// are left out.
std::string print_config(const loaded_config& loaded);

/// docs/configuration.md.
std::string print_config_reference();

}  // namespace penstock::app
