// Invariant: a source is read only after all that it overrides, and nothing that is wrong in any of them is passed
// over: either all sources are right, or one error names everything that is not.

#include "app/serve/config.h"

#include "app/error.h"
#include "app/serve/config_file.h"
#include "app/serve/option_table.h"
#include "app/serve/stream_tables.h"
#include <penstock/core/nearest.h>

#include <algorithm>
#include <map>

#include <unistd.h>

namespace penstock::app {
namespace {

constexpr std::string_view variable_prefix = "PENSTOCK_";

const option* find_option(std::string_view name, bool variable) {
  std::span<const option> all = option_table();
  auto found = std::find_if(all.begin(), all.end(), [&](const option& o) {
    return variable ? o.variable() == name || o.variable_of_key() == name : o.flag == name;
  });
  return found == all.end() ? nullptr : &*found;
}

std::string unknown_variable(const std::string& name) {
  std::vector<std::string> names{std::string(config_file_variable)};
  for (const option& o : option_table()) names.push_back(o.variable());
  std::vector<std::string_view> candidates(names.begin(), names.end());
  return "the environment variable " + name + " is none of Penstock's" + suggestion(name, candidates);
}

void apply(const given_option& given, const option& what, loaded_config& into, std::vector<std::string>& problems) {
  try {
    set_option(what, into.values, given.values);
    into.origins[static_cast<std::size_t>(&what - option_table().data())] = given.name;
  } catch (const error& wrong) {
    problems.push_back(given.name + ": " + wrong.message());
  }
}

// Container platforms set variables of their own that begin with a service's name, so an unknown one is no error.
void apply_environment(const std::vector<given_option>& given, loaded_config& into,
                       std::vector<std::string>& problems) {
  std::map<const option*, std::string> named;
  for (const given_option& variable : given) {
    if (const option* what = find_option(variable.name, true)) {
      auto [first, is_first] = named.emplace(what, variable.name);
      if (is_first)
        apply(variable, *what, into, problems);
      else
        problems.push_back("the environment variables " + first->second + " and " + variable.name +
                           " say the same thing: set one of them");
    } else if (variable.name != config_file_variable) {
      into.warnings.push_back(unknown_variable(variable.name));
    }
  }
}

// Those of all streams are of one pool.
void check_sessions(const ingest::service_options& options, std::vector<std::string>& problems) {
  std::uint64_t of_each = options.batch.commits_in_flight;
  std::uint64_t streams = options.streams.size();
  if (of_each * streams > most_connections)
    problems.push_back("batch.commits_in_flight: " + std::to_string(of_each) + " for each of " +
                       std::to_string(streams) + " streams are more than " + std::to_string(most_connections) +
                       " connections: lower it");
}

std::string join_lines(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) all += (all.empty() ? "" : "\n") + line;
  return all;
}

}  // namespace

loaded_config load_config(const config_sources& sources) {
  loaded_config loaded;
  std::vector<std::string> problems;
  loaded.origins.assign(option_table().size(), "default");
  loaded.stream_origins.assign(loaded.values.ingest.streams.size(), "default");

  if (sources.file) read_config_file(*sources.file, loaded, problems);
  apply_environment(sources.environment, loaded, problems);
  for (const given_option& flag : sources.command_line) {
    const option* what = find_option(flag.name, false);
    if (what == nullptr)
      problems.push_back("unknown option '" + flag.name + "'");
    else
      apply(flag, *what, loaded, problems);
  }
  check_tables_of_store(loaded, problems);
  check_sessions(loaded.values.ingest, problems);
  if (!problems.empty()) throw error(app_errc::bad_config, join_lines(problems));
  return loaded;
}

std::vector<given_option> penstock_environment() {
  std::vector<given_option> found;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    std::string_view text = *variable;
    std::size_t equals = text.find('=');
    if (!text.starts_with(variable_prefix) || equals == std::string_view::npos) continue;
    found.push_back({std::string(text.substr(0, equals)), {std::string(text.substr(equals + 1))}});
  }
  return found;
}

}  // namespace penstock::app
