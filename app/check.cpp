// `penstock check`: is the configuration right, and is the store fit for it? Exit code 0 when items can be stored, 1
// when not, or, with --strict, when there is a warning.

#include "app/check/check.h"

#include "app/commands.h"
#include "app/serve/arguments.h"
#include <penstock/net/event_loop.h>
#include <penstock/observe/log.h>

#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace penstock::app {
namespace {

struct check_arguments {
  serve_arguments config;
  bool strict = false;
};

int run_check(const check_arguments& given) {
  loaded_config loaded = load_config(sources_of(given.config));
  std::cout << "store " << log::redact_url(loaded.values.store_url) << "\n";
  check::report report(std::cout);
  for (const std::string& warning : loaded.warnings)
    report.add({db::finding::level::warning, "odd configuration", warning, {}});
  net::run(check::check_store(loaded.values, report));
  report.summary();
  bool bad = report.errors() > 0 || (given.strict && report.warnings() > 0);
  return bad ? exit_failure : exit_ok;
}

}  // namespace

void add_check_command(CLI::App& app, int& exit_code) {
  auto given = std::make_shared<check_arguments>();
  CLI::App* command = app.add_subcommand("check", "Look at a configuration and its store before serving");
  command->add_flag("--strict", given->strict, "Exit with 1 for warnings too");
  add_config_options(*command, given->config);
  command->callback([given, &exit_code] {
    exit_code = run_check(*given);
    flush_output(std::cout);
  });
}

}  // namespace penstock::app
