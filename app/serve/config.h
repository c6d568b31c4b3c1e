#pragma once

// What `penstock serve` is configured with, and where each value came from. Later sources win: defaults, the config
// file, the environment, the command line.
//
//   config_sources sources{.file = "penstock.toml", .environment = {{"PENSTOCK_LISTEN", "127.0.0.1:9000"}}};
//   loaded_config loaded = load_config(sources);      // throws app_errc::bad_config, naming all that is wrong
//   serve(loaded.values);

#include <penstock/http/server.h>
#include <penstock/ingest/service.h>
#include <penstock/net/endpoint.h>
#include <penstock/observe/log.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::app {

/// All that `penstock serve` can be told. The defaults are what it does without being told anything.
struct serve_config {
  std::vector<net::endpoint> listen = {net::endpoint::tcp("127.0.0.1", 8080)};
  std::uint64_t listen_mode = 0600;                  ///< Of the files of Unix sockets.
  duration grace_period = std::chrono::seconds(30);  ///< From the first signal until what is left is given up.
  std::string store_url = "sqlite:penstock.db";
  log::options log = {};
  http::server_options http = {};
  ingest::service_options ingest = {.streams = {{.name = "items", .table = "processed_data"}}};
};

/// A name and the texts given for it, as they stand in the environment or on the command line.
struct given_option {
  std::string name;                 ///< "PENSTOCK_LISTEN", "--listen".
  std::vector<std::string> values;  ///< Several only for lists.
};

/// Where a configuration comes from.
struct config_sources {
  std::optional<std::string> file = {};        ///< The path of a TOML file.
  std::vector<given_option> environment = {};  ///< The variables that begin with PENSTOCK_.
  std::vector<given_option> command_line = {};
};

/// A configuration with its history.
struct loaded_config {
  serve_config values;
  std::vector<std::string> origins;         ///< Of each option of `option_table`: "default", "penstock.toml:7", …
  std::vector<std::string> stream_origins;  ///< Of each stream.
  std::vector<std::string> warnings;        ///< What is odd, but no reason to refuse.
};

/// Reads and merges the sources. Throws `app_errc::bad_config` with a line for everything that is wrong in them.
loaded_config load_config(const config_sources& sources);

/// The variables of this process that begin with PENSTOCK_.
std::vector<given_option> penstock_environment();

/// The variable that names the config file when `--config` does not.
inline constexpr std::string_view config_file_variable = "PENSTOCK_CONFIG";

}  // namespace penstock::app
