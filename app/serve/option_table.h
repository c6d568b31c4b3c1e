#pragma once

// Every option of `penstock serve`, once. The config file, the environment, the command line, --print-config and
// docs/configuration.md are all made from this table.

#include "app/serve/config.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace penstock::app {

/// Connections for reading, and for commits of all streams: more than a database server lets in.
constexpr std::uint64_t most_connections = 65'535;

/// How an option's value is written.
enum class value_kind { text, url, endpoints, count, bytes, duration, level, format, mode };

/// The part of a configuration that an option sets.
using option_field = std::variant<std::string& (*)(serve_config&), std::uint64_t& (*)(serve_config&),
                                  duration& (*)(serve_config&), std::vector<net::endpoint>& (*)(serve_config&),
                                  log::level& (*)(serve_config&), log::line_format& (*)(serve_config&)>;

/// An option.
struct option {
  std::string_view key;   ///< In the config file: "batch.max_rows".
  std::string_view flag;  ///< "--batch-max-rows".
  value_kind kind;
  option_field field;
  std::string_view help;    ///< A sentence without its full stop.
  std::uint64_t least = 0;  ///< Of counts, bytes and durations (ns), as the next.
  std::uint64_t most = ~std::uint64_t{0};

  std::string_view section() const noexcept;  ///< The key's part before the dot; empty at the top.
  std::string_view name() const noexcept;     ///< The key's part after the dot.
  std::string variable() const;               ///< "PENSTOCK_STORE", from the flag.
  std::string variable_of_key() const;        ///< "PENSTOCK_STORE_URL": taken too; the same for most.
};

/// All of them: those without a section first, then section by section.
std::span<const option> option_table();

/// "a size, such as 4MiB": what a value of the kind looks like.
std::string_view describe(value_kind kind) noexcept;

/// "SIZE": what stands for a value of the kind in a usage text.
std::string_view placeholder(value_kind kind) noexcept;

/// Sets an option from texts; only a list takes several. Throws `penstock::error` saying what is wrong with them.
void set_option(const option& what, serve_config& in, const std::vector<std::string>& values);

/// An option's value as the config file would write it: `"4MiB"`, `1000`, `["127.0.0.1:8080"]`. Passwords are left out.
std::string format_option(const option& what, const serve_config& in);

/// A text as a TOML string, quotes included.
std::string toml_string(std::string_view text);

}  // namespace penstock::app
