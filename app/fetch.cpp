// `penstock fetch`: many URLs at once, safely. Exit code 0 only when every one succeeded.

#include "app/fetch/fetch.h"

#include "app/commands.h"
#include "app/error.h"
#include <penstock/core/units.h>
#include <penstock/net/event_loop.h>
#include <penstock/observe/log.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace penstock::app {
namespace {

struct fetch_arguments {
  fetch_options options;
  std::string from;
  std::string timeout = "60s";
  std::string max_bytes = "64MiB";
  bool verbose = false;
};

// A value as the option means it, or what is wrong with it under the option's name.
template <class Parse>
auto value_of(const char* option, const std::string& text, Parse parse) {
  try {
    return parse(text);
  } catch (const error& e) {
    throw error(app_errc::bad_usage, std::string(option) + " " + e.message(), std::current_exception());
  }
}

// Without any time, every request would fail at once.
duration parse_timeout(const std::string& text) {
  constexpr duration least = std::chrono::milliseconds(1);
  duration given = parse_duration(text);
  if (given < least) throw error(app_errc::bad_usage, "'" + text + "': expected at least " + format_duration(least));
  return given;
}

void add_urls_from(const std::string& file, std::vector<std::string>& urls) {
  std::ifstream opened;
  if (file != "-") opened.open(file);
  std::istream& text = file == "-" ? std::cin : opened;
  if (!text) throw error(app_errc::bad_usage, "--from '" + file + "': this file can't be read");
  std::vector<std::string> more = urls_in(text);
  urls.insert(urls.end(), more.begin(), more.end());
}

int run_fetch(fetch_arguments& given) {
  fetch_options& options = given.options;
  options.client.request_timeout = value_of("--timeout", given.timeout, parse_timeout);
  options.client.max_response_bytes = value_of("--max-bytes", given.max_bytes, [](auto& t) { return parse_bytes(t); });
  if (!given.from.empty()) add_urls_from(given.from, options.urls);
  if (options.urls.empty()) throw error(app_errc::bad_usage, "nothing to fetch: name a URL, or a file with --from");
  if (!given.verbose) log::set_level(log::level::off);
  fetch_summary sum = net::run(fetch_all(options, std::cout));
  return sum.failed == 0 ? exit_ok : exit_failure;
}

}  // namespace

void add_fetch_command(CLI::App& app, int& exit_code) {
  auto given = std::make_shared<fetch_arguments>();
  fetch_options& options = given->options;
  CLI::App* fetch = app.add_subcommand("fetch", "Fetch many URLs at once; one failure touches no other");
  fetch->add_option("URL", options.urls, "What to fetch");
  fetch->add_option("--from", given->from, "A file with a URL on each line; - for standard input");
  fetch->add_option("--concurrency", options.concurrency, "Requests under way at once")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  fetch->add_option("--timeout", given->timeout, "For each URL, all of it")->capture_default_str();
  fetch->add_option("--max-bytes", given->max_bytes, "Of one answer's body")->capture_default_str();
  fetch->add_option("--max-redirects", options.client.max_redirects, "Redirects to follow")
      ->check(CLI::Range(0, std::numeric_limits<int>::max()))
      ->capture_default_str();
  fetch->add_option("--ca-bundle", options.client.ca_bundle,
                    "A PEM file of certificates to trust instead of the system's");
  fetch->add_option("--output", options.output, "A folder to write the bodies to");
  fetch->add_flag("--verbose", given->verbose, "Log failures with their tracebacks to standard error");
  fetch->callback([given, &exit_code] {
    exit_code = run_fetch(*given);
    flush_output(std::cout);
  });
}

}  // namespace penstock::app
