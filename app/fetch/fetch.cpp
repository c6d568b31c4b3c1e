#include "app/fetch/fetch.h"

#include "app/commands.h"
#include "app/error.h"
#include "app/printable.h"
#include <penstock/async/error.h>
#include <penstock/async/map_bounded.h>
#include <penstock/async/on_worker.h>
#include <penstock/core/traceback.h>
#include <penstock/http/safe_request.h>
#include <penstock/observe/log.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <istream>
#include <ostream>
#include <ranges>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

// Invariant: each URL ends in one line and one count. At most `concurrency` bodies are held at a time.

namespace penstock::app {
namespace {

namespace fs = std::filesystem;

// A file appears whole or not at all.
void write_file(const fs::path& path, const std::string& body) {
  fs::path part = path;
  part += ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  file.write(body.data(), static_cast<std::streamsize>(body.size()));
  file.close();
  if (!file) throw std::system_error(errno, std::generic_category(), "cannot write " + path.string());
  fs::rename(part, path);
}

class fetch_run {
 public:
  fetch_run(const fetch_options& options, std::ostream& out)
      : options_(options), out_(out), client_(client_options()), clock_(scheduler::current()), start_(clock_.now()) {}

  task<void> fetch(std::size_t index) {
    const std::string& url = options_.urls[index];
    time_point start = clock_.now();
    task<http::safe_response> sending = http::safe_request(client_, url);
    http::safe_response got = co_await std::move(sending);
    std::string trouble;
    if (got && !options_.output.empty()) {
      fs::path path = fs::path(options_.output) / body_file_name(index + 1, url);
      try {
        auto writing = on_worker([&] { write_file(path, got->body); });
        co_await writing;
      } catch (const operation_cancelled&) {
        throw;
      } catch (const std::exception& e) {
        trouble = log::redact_url(url) + ": " + e.what();
      }
    }
    tell(log::redact_url(url), got, trouble, clock_.now() - start);
  }

  fetch_summary end() {
    double seconds = std::chrono::duration<double>(clock_.now() - start_).count();
    out_ << fmt::format("{} of {} succeeded, {} failed, {} bytes in {:.2f} s\n", sum_.succeeded, options_.urls.size(),
                        sum_.failed, sum_.body_bytes, seconds)
         << std::flush;
    return sum_;
  }

 private:
  http::client_options client_options() const {
    http::client_options all = options_.client;
    all.max_connections = std::max<std::size_t>(options_.concurrency, 1);
    all.max_connections_per_host = all.max_connections;
    return all;
  }

  void tell(const std::string& url, const http::safe_response& got, const std::string& trouble, duration elapsed) {
    const auto* refused = got.error_as<http::status_error>();
    bool succeeded = got && trouble.empty();
    ++(succeeded ? sum_.succeeded : sum_.failed);
    if (succeeded) sum_.body_bytes += (*got).body.size();
    const http::client_response* answer = refused != nullptr ? &refused->answer() : got ? &*got : nullptr;
    if (answer != nullptr && trouble.empty()) {
      auto milliseconds = std::chrono::round<std::chrono::milliseconds>(elapsed).count();
      out_ << fmt::format("{} {:>10} B {:>7} ms  {}\n", answer->status, answer->body.size(), milliseconds,
                          printable(url));
    } else {
      const auto* failure = got.error_as<error>();
      std::string what = !trouble.empty()     ? trouble
                         : failure != nullptr ? std::string(failure->what()) + " (" + std::string(failure->code()) + ")"
                                              : describe(got.exception());
      bool is_too_long = failure != nullptr && failure->is(http::client_errc::too_large) &&
                         failure->message().find("(max_response_bytes)") != std::string::npos;
      if (is_too_long) what += "; --max-bytes sets it";
      out_ << "failed  " << printable(what) << "\n";
    }
    // Without files the lines are all that there is, as when 'head' has read enough of them.
    if (options_.output.empty())
      flush_output(out_);
    else
      out_.flush();
  }

  const fetch_options& options_;
  std::ostream& out_;
  http::client client_;
  const scheduler& clock_;
  time_point start_;
  fetch_summary sum_;
};

void make_folder(const std::string& path) {
  std::error_code failure;
  fs::create_directories(path, failure);
  if (failure || !fs::is_directory(path, failure))
    throw error(app_errc::bad_usage, "--output '" + path + "': cannot make this folder: " + failure.message());
}

}  // namespace

task<fetch_summary> fetch_all(const fetch_options& options, std::ostream& out) {
  if (!options.output.empty()) make_folder(options.output);
  fetch_run run(options, out);
  auto fetch = [&run](std::size_t index) { return run.fetch(index); };
  auto fetching = map_bounded(std::views::iota(std::size_t{0}, options.urls.size()), options.concurrency, fetch);
  co_await std::move(fetching);
  co_return run.end();
}

std::vector<std::string> urls_in(std::istream& text) {
  constexpr std::string_view blanks = " \t\r";
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  std::vector<std::string> urls;
  bool is_first = true;
  for (std::string line; std::getline(text, line); is_first = false) {
    if (is_first && line.starts_with(byte_order_mark)) line.erase(0, byte_order_mark.size());
    std::size_t first = line.find_first_not_of(blanks);
    if (first == std::string::npos || line[first] == '#') continue;
    urls.push_back(line.substr(first, line.find_last_not_of(blanks) - first + 1));
  }
  return urls;
}

std::string body_file_name(std::size_t number, const std::string& url) {
  constexpr std::size_t most_bytes = 100;
  std::string_view rest = url;
  if (std::size_t scheme = rest.find("://"); scheme != rest.npos) rest.remove_prefix(scheme + 3);
  rest = rest.substr(0, rest.find_first_of("?#"));
  // A name and password are not for a file's name.
  if (std::size_t at = rest.substr(0, rest.find('/')).rfind('@'); at != rest.npos) rest.remove_prefix(at + 1);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  std::string name(rest.substr(0, most_bytes));
  for (char& c : name) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!plain) c = '_';
  }
  return fmt::format("{:04}-{}", number, name);
}

}  // namespace penstock::app
