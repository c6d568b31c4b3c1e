// `penstock serve`: items over HTTP into a database, until SIGTERM.

#include "app/commands.h"
#include "app/error.h"
#include "app/serve/config.h"
#include "app/serve/option_table.h"
#include "app/serve/print_config.h"

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace penstock::app {
namespace {

// What the command line gives: the texts of each option of the table, in its order, and what stands beside it.
struct serve_arguments {
  std::string config_file;
  bool print_config = false;
  bool print_reference = false;
  std::vector<std::vector<std::string>> texts = std::vector<std::vector<std::string>>(option_table().size());
};

config_sources sources_of(const serve_arguments& given) {
  config_sources sources{.environment = penstock_environment()};
  for (const given_option& variable : sources.environment)
    if (variable.name == config_file_variable) sources.file = variable.values.front();
  if (!given.config_file.empty()) sources.file = given.config_file;
  for (std::size_t i = 0; i < given.texts.size(); ++i)
    if (!given.texts[i].empty()) sources.command_line.push_back({std::string(option_table()[i].flag), given.texts[i]});
  return sources;
}

void run_serve(const serve_arguments& given, int& exit_code) {
  if (given.print_reference) {
    std::cout << print_config_reference();
    return;
  }
  loaded_config loaded = load_config(sources_of(given));
  if (!given.print_config) throw error(app_errc::bad_usage, "this build only prints its configuration: --print-config");
  for (const std::string& warning : loaded.warnings) std::cerr << "penstock: " << warning << "\n";
  std::cout << print_config(loaded);
  exit_code = exit_ok;
}

// A default as the command line takes it, without TOML's quotes and brackets.
std::string plain_default(const option& what, const serve_config& defaults) {
  std::string value = format_option(what, defaults);
  std::erase_if(value, [](char c) { return c == '"' || c == '[' || c == ']'; });
  return value;
}

void add_table_options(CLI::App& serve, serve_arguments& into) {
  serve_config defaults;
  std::span<const option> all = option_table();
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::string help(all[i].help);
    if (std::string value = plain_default(all[i], defaults); !value.empty()) help += " [" + value + "]";
    CLI::Option* added = serve.add_option(std::string(all[i].flag), into.texts[i], help);
    added->type_name(std::string(placeholder(all[i].kind)));
    added->group(all[i].section().empty() ? "Options" : "[" + std::string(all[i].section()) + "]");
    bool list = all[i].kind == value_kind::endpoints;
    added->expected(1)->multi_option_policy(list ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast);
  }
}

}  // namespace

void add_serve_command(CLI::App& app, int& exit_code) {
  auto given = std::make_shared<serve_arguments>();
  CLI::App* serve = app.add_subcommand("serve", "Take items over HTTP and commit them to a database");
  serve->add_option("--config", given->config_file, "A TOML file; see docs/configuration.md")->type_name("FILE");
  serve->add_flag("--print-config", given->print_config, "Print what is configured, and by what, and exit");
  serve->add_flag("--print-config-reference", given->print_reference, "Print docs/configuration.md")->group("");
  add_table_options(*serve, *given);
  serve->footer("Later ones win: the config file, PENSTOCK_* variables, these options.");
  serve->callback([given, &exit_code] { run_serve(*given, exit_code); });
}

}  // namespace penstock::app
