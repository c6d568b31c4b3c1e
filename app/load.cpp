// `penstock load`: the items of files into a stream.
//
// Invariant: every item that was read is counted once, as stored, duplicate, rejected, unknown or not sent, and all but
// the first two are in the rejects file, or the summary says how many are not; the exit code is 0 only when there are
// none of those.

#include "app/commands.h"
#include "app/error.h"
#include "app/load/arguments.h"
#include "app/load/progress.h"
#include "app/load/summary.h"
#include <penstock/async/cancel.h>
#include <penstock/async/task_group.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/signals.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace penstock::app {
namespace {

using namespace load;

task<void> send_until_cancelled(sender& sending, cancel_scope& scope, load_end& end);
task<void> stop_on_signal(net::signal_set& signals, sender& sending, cancel_scope& scope, load_end& end);
bool is_terminal();

task<load_end> run_load(const load_arguments& a, report& result) {
  std::optional<std::uint64_t> total_bytes = total_size(a.files);
  net::signal_set signals{SIGINT, SIGTERM};
  // Over before the whole request's time is, so that it is known that nothing was sent.
  duration connect_timeout = std::min(http::client_options().connect_timeout, a.request_timeout / 2);
  http::client client({.max_connections = a.send.concurrency,
                       .max_connections_per_host = a.send.concurrency,
                       .connect_timeout = connect_timeout,
                       .request_timeout = a.request_timeout,
                       .idle_timeout = a.request_timeout,
                       .ca_bundle = a.ca_bundle});
  stop_flag stop;
  batch_source source(a.files, a.source, stop);
  auto fill = [&](batch& into) { return source.fill(into); };
  auto post = [&](const batch& b, const std::string& key) { return post_batch(client, a.to, b, key); };
  sender sending(fill, post, a.send, result, stop);

  load_end end;
  cancel_scope scope;
  time_point start = scheduler::current().now();
  auto all = [&](task_group& group) -> task<> {
    group.start(send_until_cancelled(sending, scope, end), "send");
    group.start_background(stop_on_signal(signals, sending, scope, end), "signals");
    progress_options how{.terminal = is_terminal(), .total_bytes = total_bytes};
    if (!a.quiet) group.start_background(show_progress(result, how, std::cerr), "progress");
    co_return;
  };
  task<void> done = with_task_group(all);
  co_await std::move(done);
  end.elapsed = scheduler::current().now() - start;
  co_return end;
}

// What goes wrong here ends the load, not the summary of what was done until then.
task<void> send_until_cancelled(sender& sending, cancel_scope& scope, load_end& end) {
  try {
    task<void> sent = scope.run(sending.run());
    co_await std::move(sent);
    end.stopped_because = sending.stopped_because();
  } catch (const operation_cancelled&) {
    if (!scope.cancelled()) throw;
    end.stopped_because = sending.stopped_because();
  } catch (const http::client_error& wrong) {
    throw error(app_errc::bad_usage, wrong.message());
  } catch (const std::system_error& failure) {
    end.stopped_because = failure.what();
  }
}

task<void> stop_on_signal(net::signal_set& signals, sender& sending, cancel_scope& scope, load_end& end) {
  for (bool first = true;; first = false) {
    task<int> signal = signals.wait();
    co_await std::move(signal);
    end.interrupted = true;
    if (first)
      sending.stop("interrupted");
    else
      scope.cancel("interrupted again");
  }
}

bool is_terminal() {
  const char* kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

// What has not come out of a pipe yet may be nowhere else than in the rejects of the load before.
bool can_be_read_again(const std::vector<std::string>& files) {
  return std::all_of(files.begin(), files.end(), [](const std::string& file) {
    std::error_code unknown;
    return file != "-" && std::filesystem::is_regular_file(file, unknown);
  });
}

int load_files(load_arguments& a) {
  complete(a);
  std::vector<std::string> names = a.files;
  std::replace(names.begin(), names.end(), std::string("-"), std::string("standard input"));
  report result(names, a.rejects);
  load_end end = net::run(run_load(a, result), {.worker_threads = 1});
  result.finish(end.stopped_because.empty(), can_be_read_again(a.files));
  std::cout << (a.json_summary ? summary_json(result, end) : summary_text(result, end));
  return exit_code_of(result, end);
}

constexpr const char* help_footer =
    "Formats: NDJSON, a JSON array, or CSV with a header, each also as gzip or zstd. A CSV header cell may carry its\n"
    "column's type, as in id:integer,price:real,name,when:timestamp,ok:boolean,extra:json; without one it is text. An\n"
    "empty cell is null, save in a text column.\n"
    "\n"
    "A request that failed for now is sent again: no connection, connection lost, no answer in time, 408, 429, and "
    "5xx\n"
    "save 501, 505 and 511. It carries an Idempotency-Key, so that its items are stored once even if an answer got\n"
    "lost. When the time for that is over and one attempt may have been carried out, its items count as unknown and "
    "go\n"
    "to the rejects file; so do, at once, those of a success other than 200, which is no answer of penstock serve.\n"
    "\n"
    "Load rejected items again, save those that may be stored (load.outcome_unknown): look for these first, or have\n"
    "the stream tell repeats by a key:\n"
    "  jq -r 'select(.code != \"load.outcome_unknown\").item' FILE.rejects.ndjson |\n"
    "    penstock load - --format ndjson --to URL\n"
    "Of CSV, the rows that are no items (load.bad_row, load.bad_cell) stand there as in the file: mend them and load\n"
    "them behind its header (those with tabs by --delimiter tab); all others are JSON:\n"
    "  (head -n 1 FILE; jq -r 'select(.code | test(\"bad_(row|cell)\")).item' FILE.rejects.ndjson) |\n"
    "    penstock load - --format csv --to URL\n"
    "  jq -r 'select(.code | test(\"bad_(row|cell)|outcome_unknown\") | not).item' FILE.rejects.ndjson |\n"
    "    penstock load - --format ndjson --to URL\n"
    "\n"
    "Rejects are written to a file NAME.part, which gets its name at the end: a load may write the rejects that it\n"
    "reads. One that stops before the end of a pipe, or is not told of all that were rejected, leaves a file of that\n"
    "name alone, and says where its own are.\n"
    "\n"
    "Exit code: 0 all is stored, 1 some items were rejected or their outcome is unknown, 2 wrong usage, 3 given up\n"
    "(the server can't be reached or refuses, rejects can't be written), 130 interrupted: what was in flight was\n"
    "waited for. A second Ctrl-C does not wait.";

}  // namespace

void add_load_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("load", "Load the items of files into a stream, over HTTP");
  auto arguments = std::make_shared<load_arguments>();
  add_arguments(*command, *arguments);
  command->footer(help_footer);
  command->callback([arguments, &exit_code] {
    exit_code = load_files(*arguments);
    flush_output(std::cout);
  });
}

}  // namespace penstock::app
