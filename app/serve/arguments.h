#pragma once

// What the command line of `penstock serve` gives.

#include "app/serve/config.h"
#include "app/serve/option_table.h"

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace penstock::app {

/// The texts of each option of the table, in its order, and what stands beside it.
struct serve_arguments {
  std::optional<std::string> config_file;
  bool print_config = false;
  bool print_reference = false;
  std::vector<std::vector<std::string>> texts = std::vector<std::vector<std::string>>(option_table().size());
};

/// Adds all options to the subcommand. They are read into `into`, which outlives the parsing.
void add_serve_options(CLI::App& serve, serve_arguments& into);

/// Adds those of them that say what is served, for subcommands that only look at it.
void add_config_options(CLI::App& command, serve_arguments& into);

/// All sources of the configuration, with this process's environment.
config_sources sources_of(const serve_arguments& given);

}  // namespace penstock::app
