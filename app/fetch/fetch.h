#pragma once

// What `penstock fetch` does: many URLs at once, each by itself.
//
//   fetch_summary sum = co_await fetch_all(options, std::cout);

#include <penstock/async/task.h>
#include <penstock/http/client.h>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace penstock::app {

/// What to fetch, and how.
struct fetch_options {
  std::vector<std::string> urls = {};
  std::size_t concurrency = 10;  ///< Requests under way at once.
  std::string output = {};       ///< The folder that bodies are written to, made when missing; empty: nowhere.
  http::client_options client = {.max_redirects = 10};
};

/// What became of it.
struct fetch_summary {
  std::size_t succeeded = 0;
  std::size_t failed = 0;
  std::uint64_t body_bytes = 0;  ///< Of the answers that succeeded.
};

/// GETs every URL and prints a line for each as it ends (status, bytes, milliseconds, URL; or the error), then the
/// sums. No failure ends the others: not a bad URL, not a status of 400 or above, not a file that can't be written.
/// Throws `app_errc::bad_usage` when the folder can't be made, and `output_failed` when `out` takes no more and no
/// bodies are written to files: nothing would be left of the rest. `options` and `out` outlive the task.
task<fetch_summary> fetch_all(const fetch_options& options, std::ostream& out);

/// The URLs of a text: one a line, white space around it dropped, empty lines, those that begin with '#', and
/// a byte order mark at the beginning left out.
std::vector<std::string> urls_in(std::istream& text);

/// The file that the body of the URL with this number, counted from 1, is written to: "0007-example.org_a_b".
std::string body_file_name(std::size_t number, const std::string& url);

}  // namespace penstock::app
