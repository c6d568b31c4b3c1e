#pragma once

// The TOML file of `penstock serve --config`.

#include "app/serve/config.h"

#include <string>
#include <vector>

namespace penstock::app {

/// Reads a TOML file into `into`. What is wrong is added to `problems`, a text each, such as "penstock.toml:7: unknown
/// key 'batch.max_row'; did you mean 'max_rows'?"; what is right is taken all the same.
void read_config_file(const std::string& path, loaded_config& into, std::vector<std::string>& problems);

}  // namespace penstock::app
