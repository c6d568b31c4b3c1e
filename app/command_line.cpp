// Every failure ends here, as one "penstock: …" (the program's name) on standard error and an exit code: 2 when the
// caller has to ask differently, 1 when the program could not do what it was asked.

#include "app/command_line.h"

#include "app/commands.h"
#include "app/error.h"
#include <penstock/core/nearest.h>
#include <penstock/observe/log.h>

#include <algorithm>
#include <exception>
#include <ostream>
#include <string_view>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>

namespace penstock::app {
namespace {

CLI::App& used_subcommand(CLI::App& app) {
  std::vector<CLI::App*> used = app.get_subcommands();
  return used.empty() ? app : *used.front();
}

std::vector<std::string> known_names(CLI::App& app, bool options) {
  std::vector<std::string> names;
  if (!options) {
    for (const CLI::App* s : app.get_subcommands([](const CLI::App*) { return true; })) names.push_back(s->get_name());
    return names;
  }
  for (const CLI::Option* o : app.get_options())
    for (const std::string& name : o->get_lnames()) names.push_back("--" + name);
  return names;
}

// Whatever was given, in the wrong place too, may be a URL with a password.
std::string without_passwords(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t end = std::min(text.find(' '), text.size() - 1) + 1;
    std::string_view word = text.substr(0, end);
    std::size_t url_end = word.find_last_not_of("':,; ") + 1;  // what is behind it is the message's
    bool is_url = word.find("://") != std::string_view::npos;
    out += is_url ? log::redact_url(word.substr(0, url_end)) : std::string(word.substr(0, url_end));
    out += word.substr(url_end);
    text.remove_prefix(end);
  }
  return out;
}

std::string what_is_wrong(CLI::App& app, const CLI::ParseError& error) {
  std::vector<std::string> unknown = app.remaining(true);
  if (unknown.empty()) return error.what();
  CLI::App& at = used_subcommand(app);
  bool option = unknown.front().starts_with('-');
  std::vector<std::string> names = known_names(at, option);
  std::vector<std::string_view> candidates(names.begin(), names.end());
  std::string_view word = unknown.front();
  if (option) word = word.substr(0, word.find('='));
  std::string_view kind = option ? "unknown option '" : &at == &app ? "unknown command '" : "unexpected argument '";
  return std::string(kind) + log::redact_url(word) + "'" + suggestion(word, candidates);
}

int report_usage(CLI::App& app, const CLI::ParseError& error, std::ostream& err) {
  CLI::App& at = used_subcommand(app);
  err << app.get_name() << ": " << without_passwords(what_is_wrong(app, error)) << "\nTry '"
      << (&at == &app ? "" : app.get_name() + " ") << at.get_name() << " --help'.\n";
  return exit_usage;
}

// A message of several lines is several failures.
void tell(std::ostream& err, std::string_view program, std::string_view message) {
  for (bool more = true; more;) {
    std::size_t end = message.find('\n');
    err << program << ": " << without_passwords(message.substr(0, end)) << "\n";
    more = end != std::string_view::npos;
    if (more) message.remove_prefix(end + 1);
  }
}

// CLI11 takes "--option=" for an option whose value is the next argument, whatever that is.
std::vector<std::string> with_empty_values(std::span<const std::string> arguments) {
  std::vector<std::string> all;
  bool are_options = true;
  for (const std::string& argument : arguments) {
    are_options = are_options && argument != "--";
    bool has_empty_value = are_options && argument.starts_with("--") && argument.find('=') == argument.size() - 1;
    all.push_back(has_empty_value ? argument.substr(0, argument.size() - 1) : argument);
    if (has_empty_value) all.emplace_back();
  }
  return all;
}

int parse(CLI::App& app, std::span<const std::string> arguments, const int& exit_code, std::ostream& out,
          std::ostream& err) {
  try {
    std::vector<std::string> all = with_empty_values(arguments);
    app.parse(std::vector<std::string>(all.rbegin(), all.rend()));
    return exit_code;
  } catch (const CLI::Success& asked) {
    int code = app.exit(asked, out, err);
    flush_output(out);
    return code;
  }
}

bool is_usage(const error& e) { return e.is(app_errc::bad_usage) || e.is(app_errc::bad_config); }

// std::thread says no more than "Resource temporarily unavailable", and nothing else here says that.
std::string explain(const std::system_error& failure) {
  std::string what = failure.what();
  if (failure.code() != std::errc::resource_unavailable_try_again) return what;
  return "no thread could be started: " + what +
         "; raise the limit of processes and threads (ulimit -u, or TasksMax of a systemd unit), or end some";
}

}  // namespace

void flush_output(std::ostream& out) {
  if (!out.flush())
    throw error(app_errc::output_failed,
                "standard output did not take all that it should; is its disk full, or its reader gone?");
}

int run_command_line(std::span<const std::string> arguments, std::ostream& out, std::ostream& err) {
  int exit_code = exit_ok;
  CLI::App app("Takes items over HTTP, gathers them into batches and commits them to SQL.", "penstock");
  app.set_version_flag("--version", "penstock " PENSTOCK_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);
  app.footer("Run 'penstock COMMAND --help' for what a command takes.");
  add_serve_command(app, exit_code);
  add_load_command(app, exit_code);
  add_check_command(app, exit_code);
  add_fetch_command(app, exit_code);

  if (arguments.empty()) {
    err << app.help();
    return exit_usage;
  }
  return run(app, arguments, exit_code, out, err);
}

int run(CLI::App& app, std::span<const std::string> arguments, const int& exit_code, std::ostream& out,
        std::ostream& err) {
  try {
    return parse(app, arguments, exit_code, out, err);
  } catch (const CLI::ParseError& wrong) {
    return report_usage(app, wrong, err);
  } catch (const error& failure) {
    tell(err, app.get_name(), failure.what());
    if (is_usage(failure)) return exit_usage;
    return exit_code != exit_ok ? exit_code : exit_failure;
  } catch (const std::system_error& failure) {
    tell(err, app.get_name(), explain(failure));
    return exit_failure;
  } catch (const std::exception& failure) {
    tell(err, app.get_name(), failure.what());
    return exit_failure;
  }
}

}  // namespace penstock::app
