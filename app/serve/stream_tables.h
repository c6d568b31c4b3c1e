#pragma once

// The [[stream]] tables of the config file.

#include "app/serve/config.h"
#include "app/serve/toml_reading.h"

namespace penstock::app {

/// Reads the streams in place of those that are there. What is wrong is added to `problems`.
void read_streams(const toml::node& streams, toml_problems& problems, loaded_config& into);

/// Whether the store takes tables of these names. What is wrong is added to `problems`.
void check_tables_of_store(const loaded_config& loaded, std::vector<std::string>& problems);

}  // namespace penstock::app
