// Invariant: an option that is not in the table is about this one run, never part of the configuration.

#include "app/serve/arguments.h"

#include <CLI/CLI.hpp>

namespace penstock::app {
namespace {

// A default as the command line takes it, without TOML's quotes and brackets.
std::string plain_default(const option& what, const serve_config& defaults) {
  std::string value = format_option(what, defaults);
  std::erase_if(value, [](char c) { return c == '"' || c == '[' || c == ']'; });
  return value;
}

void add_table_option(CLI::App& serve, const option& what, std::vector<std::string>& into) {
  std::string help(what.help);
  if (std::string value = plain_default(what, {}); !value.empty()) help += " [" + value + "]";
  bool list = what.kind == value_kind::endpoints;
  serve.add_option(std::string(what.flag), into, help)
      ->type_name(std::string(placeholder(what.kind)))
      ->group(what.section().empty() ? "Options" : "[" + std::string(what.section()) + "]")
      ->expected(1)
      ->multi_option_policy(list ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
}

}  // namespace

void add_serve_options(CLI::App& serve, serve_arguments& into) {
  serve.add_flag("--print-config", into.print_config, "Print what is configured, and by what, and exit");
  serve.add_flag("--print-config-reference", into.print_reference,
                 "Print a page with every option, its default and the streams, and exit");
  add_config_options(serve, into);
}

void add_config_options(CLI::App& command, serve_arguments& into) {
  command.add_option("--config", into.config_file, "A TOML file; see docs/configuration.md")->type_name("FILE");
  for (std::size_t i = 0; i < option_table().size(); ++i) add_table_option(command, option_table()[i], into.texts[i]);
  command.footer("Later ones win: the config file, PENSTOCK_* variables, these options.");
}

config_sources sources_of(const serve_arguments& given) {
  config_sources sources{.environment = penstock_environment()};
  for (const given_option& variable : sources.environment)
    if (variable.name == config_file_variable && !variable.values.front().empty())
      sources.file = variable.values.front();
  if (given.config_file) sources.file = given.config_file;
  for (std::size_t i = 0; i < given.texts.size(); ++i)
    if (!given.texts[i].empty()) sources.command_line.push_back({std::string(option_table()[i].flag), given.texts[i]});
  return sources;
}

}  // namespace penstock::app
