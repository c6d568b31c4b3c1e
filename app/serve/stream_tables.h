#pragma once

// The [[stream]] tables of the config file.

#include "app/serve/config.h"
#include "app/serve/toml_reading.h"

namespace penstock::app {

/// Reads the streams in place of those that are there. What is wrong is added to `problems`.
void read_streams(const toml::node& streams, toml_problems& problems, loaded_config& into);

}  // namespace penstock::app
