// A load that can't end well is refused before the first item is sent.

#include "app/load/arguments.h"

#include "app/error.h"
#include "app/standard_streams.h"
#include <penstock/core/units.h>
#include <penstock/observe/log.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace penstock::app::load {
namespace {

namespace fs = std::filesystem;

// Adds an option whose text is read by `read`; what is wrong with it is told beside the option's name.
CLI::Option* add_read(CLI::App& command, const std::string& name, std::function<void(const std::string&)> read,
                      const std::string& help) {
  auto checked = [name, read = std::move(read)](const std::string& text) {
    try {
      read(text);
    } catch (const error& wrong) {
      throw CLI::ValidationError(name, wrong.message());
    }
  };
  return command.add_option_function<std::string>(name, checked, help);
}

void add_duration(CLI::App& command, const std::string& name, duration& into, const std::string& help,
                  duration least = {}) {
  auto read = [&into, least](const std::string& text) {
    duration given = parse_duration(text);
    if (given < least) throw error(app_errc::bad_usage, "'" + text + "': expected at least " + format_duration(least));
    into = given;
  };
  add_read(command, name, read, help)->type_name("DURATION")->default_str(format_duration(into));
}

void add_size(CLI::App& command, const std::string& name, std::size_t& into, const std::string& help) {
  auto read = [&into](const std::string& text) {
    into = parse_bytes(text);
    if (into == 0) throw error(app_errc::bad_usage, "expected at least 1");
  };
  add_read(command, name, read, help)->type_name("SIZE")->default_str(format_bytes(into));
}

file_format read_format(const std::string& text) {
  if (std::optional<file_format> format = parse_file_format(text)) return *format;
  throw error(app_errc::bad_usage, "'" + text + "': expected ndjson, json or csv");
}

char read_delimiter(const std::string& text) {
  if (text == "tab" || text == "\\t") return '\t';
  if (text.size() == 1 && text != "\"" && text != "\n" && text != "\r") return text.front();
  throw error(app_errc::bad_usage, "'" + text + "': expected one character, or tab");
}

std::pair<std::string, std::string> read_header(const std::string& text) {
  std::size_t colon = text.find(':');
  if (colon == 0 || colon == std::string::npos)
    throw error(app_errc::bad_usage, "'" + text.substr(0, text.find_first_of(" \t=")) + "…': expected 'NAME: VALUE'");
  std::size_t value = text.find_first_not_of(' ', colon + 1);
  return {text.substr(0, colon), value == std::string::npos ? std::string() : text.substr(value)};
}

void add_file_arguments(CLI::App& command, load_arguments& into) {
  source_options& s = into.source;
  command.add_option("FILE", into.files, "Files to load, in this order; - is standard input")->required();
  add_read(
      command, "--format", [&s](const std::string& text) { s.format = read_format(text); },
      "ndjson, json or csv; by default told from the file's name and beginning, csv by a name in .csv or .tsv, or "
      "none and .txt")
      ->type_name("FORMAT");
  add_read(
      command, "--types", [&s](const std::string& text) { s.csv.types = parse_column_types(text); },
      "Types of CSV columns, such as id=integer,price=real; they go before those in the header")
      ->type_name("COLUMN=TYPE,...");
  add_read(
      command, "--delimiter", [&s](const std::string& text) { s.csv.delimiter = read_delimiter(text); },
      "What separates CSV fields: one character, or tab; by default a tab in files named .tsv, else a comma")
      ->type_name("CHAR");
  add_size(command, "--max-item-bytes", s.most_item_bytes, "A longer item or CSV row is rejected");
}

void add_sending_arguments(CLI::App& command, load_arguments& into) {
  retry_options& r = into.send.retry;
  command.add_option("--concurrency", into.send.concurrency, "Requests in flight")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      .add_option("--batch-items", into.source.batch.items,
                  "Items of a request, at most; one that the server finds too large is sent in parts")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  add_size(command, "--batch-bytes", into.source.batch.bytes, "A request is sent once it holds so much");
  add_duration(command, "--timeout", into.request_timeout,
               "How long a request may take; half of it, 10s at most, to connect", std::chrono::milliseconds(1));
  add_duration(command, "--retry-for", r.retry_for, "How long a request that failed is sent again; 0: never");
  command.add_option("--max-retries", r.max_retries, "How often, at most; by default as often as the time allows")
      ->check(CLI::Range(0, std::numeric_limits<int>::max()))
      ->type_name("N");
  add_read(
      command, "--header", [&into](const std::string& text) { into.to.headers.push_back(read_header(text)); },
      "A header field to send along, such as 'Authorization: Bearer …'; may be repeated")
      ->type_name("'NAME: VALUE'")
      ->take_all()
      ->trigger_on_parse();
  command.add_option("--ca-bundle", into.ca_bundle, "A PEM file of certificates to trust instead of the system's")
      ->type_name("FILE");
}

void check_url(const std::string& url) {
  std::size_t host = url.find("://");
  bool http = url.starts_with("http://") || url.starts_with("https://");
  std::size_t path = http ? url.find('/', host + 3) : std::string::npos;
  if (path == std::string::npos || path + 1 >= url.size())
    throw error(app_errc::bad_usage, "--to '" + log::redact_url(url) +
                                         "': expected the URL of a stream, such as http://127.0.0.1:8080/v1/items");
}

void check_ca_bundle(const std::string& path) {
  if (path.empty()) return;
  std::ifstream file(path, std::ios::binary);
  std::string line;
  while (std::getline(file, line))
    if (line.find("BEGIN ") != std::string::npos && line.find("CERTIFICATE") != std::string::npos) return;
  throw error(app_errc::bad_usage, "--ca-bundle '" + path + "': there is no certificate in PEM form to be read");
}

void check_rejects(const load_arguments& a) {
  fs::path path(a.rejects);
  std::error_code none;
  for (const std::string& file : a.files)
    if (file != "-" && fs::equivalent(file, path, none))
      throw error(app_errc::bad_usage, "--rejects '" + a.rejects + "' is one of the files to load");
  fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const fs::path& written = fs::exists(path, none) ? path : folder;
  if (access(written.c_str(), W_OK) != 0)
    throw error(app_errc::bad_usage, "rejected items could not be written to '" + a.rejects +
                                         "': " + std::generic_category().message(errno) + "; say --rejects FILE");
}

}  // namespace

void add_arguments(CLI::App& command, load_arguments& into) {
  add_file_arguments(command, into);
  command.add_option("--to", into.to.url, "The stream, such as http://127.0.0.1:8080/v1/items")
      ->type_name("URL")
      ->required();
  add_sending_arguments(command, into);
  command
      .add_option("--rejects", into.rejects,
                  "Where rejected items go, as NDJSON with file, line and reason; by default the first file's name "
                  "with .rejects.ndjson, in this folder. Made, or made anew, only when there are any")
      ->type_name("FILE");
  command.add_flag("--quiet", into.quiet, "No progress");
  command.add_flag("--json", into.json_summary, "The summary as one JSON object");
}

void complete(load_arguments& a) {
  check_url(a.to.url);
  check_ca_bundle(a.ca_bundle);
  std::ptrdiff_t from_input = std::count(a.files.begin(), a.files.end(), "-");
  if (from_input > 1) throw error(app_errc::bad_usage, "standard input (-) can be read only once");
  if (from_input > 0 && !standard_input_is_open())
    throw error(app_errc::bad_usage, "standard input is closed: redirect what - is to read, or name a file");
  if (a.rejects.empty()) {
    const std::string& first = a.files.front();
    a.rejects = (first == "-" ? "stdin" : fs::path(first).filename().string()) + ".rejects.ndjson";
  }
  check_rejects(a);
}

}  // namespace penstock::app::load
