// `penstock serve`: items over HTTP into a database, until SIGTERM.
//
// Invariant: what was accepted before the first signal is answered, what was answered is committed, and then the
// process ends with 0; only a second signal or the end of the grace period cuts that short, and the log says what was
// given up.

#include "app/commands.h"
#include "app/serve/announcement.h"
#include "app/serve/arguments.h"
#include "app/serve/config.h"
#include "app/serve/print_config.h"
#include "app/serve/process_limits.h"
#include "app/serve/reachable.h"
#include <penstock/async/cancel.h>
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/http/server.h>
#include <penstock/ingest/service.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/net/signals.h>
#include <penstock/observe/log.h>
#include <penstock/observe/log_rotation.h>
#include <penstock/observe/metrics.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace penstock::app {
namespace {

using listeners = std::vector<std::unique_ptr<net::listener>>;

listeners listen_on(const serve_config& config);
void log_places(const serve_config& config, const listeners& at);
std::string places_to_announce(const listeners& at);
task<void> serve_http(http::server& server, const listeners& at, ingest::service& service);
task<bool> open_unless_stopped(cancel_scope& opening, ingest::service& service);
task<void> stop_on_signal(net::signal_set& signals, cancel_scope& opening, http::server& server,
                          ingest::service& service, duration grace);
task<void> reopen_log_on_hangup(net::signal_set& hangups, const log::options& how);

// Signals are taken over before anyone may know that the server is there, so that none ends the process by its default.
// Listening comes next, so that a port that is taken leaves the database untouched; clients that are early wait.
task<void> serve(const serve_config& config) {
  net::signal_set signals{SIGINT, SIGTERM};
  net::signal_set hangups{SIGHUP};
  listeners at = listen_on(config);
  ingest::service service(db::database(config.store_url), config.ingest);
  http::router routes;
  service.add_routes(routes);
  http::server server(std::move(routes), config.http);
  server.measure(metrics::default_registry());
  cancel_scope opening;
  std::optional<announcement> announced;
  bool serving = false;
  try {
    co_await with_task_group([&](task_group& group) -> task<void> {
      group.start_background(stop_on_signal(signals, opening, server, service, config.grace_period), "stop_on_signal");
      group.start_background(reopen_log_on_hangup(hangups, config.log), "reopen_log_on_hangup");
      task<bool> first = open_unless_stopped(opening, service);
      serving = co_await std::move(first);
      if (!serving) co_return;
      group.start(service.run(), "ingest");
      group.start(serve_http(server, at, service), "http");
      log_places(config, at);
      announced.emplace(places_to_announce(at));
    });
  } catch (...) {
    if (serving) log::exception(log::level::error, "serving failed", std::current_exception());
    throw;
  }
  log::info("stopped", {{"requests", server.stats().requests}});
}

// False when a signal came first.
task<bool> open_unless_stopped(cancel_scope& opening, ingest::service& service) {
  try {
    task<bool> first = opening.run(service.open());
    co_await std::move(first);
  } catch (const operation_cancelled&) {
    if (!opening.cancelled()) throw;
  }
  co_return !opening.cancelled();
}

// The requests end before the service does, since they wait for its commits.
task<void> serve_http(http::server& server, const listeners& at, ingest::service& service) {
  std::vector<task<void>> serving;
  for (const std::unique_ptr<net::listener>& one : at) serving.push_back(server.serve(*one));
  task<void> all = gather(std::move(serving));
  co_await std::move(all);
  service.stop();
}

std::string_view name_of_signal(int number) { return number == SIGINT ? "SIGINT" : "SIGTERM"; }

// Ends the process as it stands: a task that does not end by itself can't be waited for, and what is committed is safe.
[[noreturn]] void give_up(std::string_view why, const http::server_stats& left) {
  log::error(
      "stopped at once",
      {{"reason", why}, {"requests_given_up", left.requests_in_flight}, {"connections_closed", left.open_connections}});
  log::flush();
  std::_Exit(exit_failure);
}

task<void> stop_on_signal(net::signal_set& signals, cancel_scope& opening, http::server& server,
                          ingest::service& service, duration grace) {
  task<int> first = signals.wait();
  int number = co_await std::move(first);
  http::server_stats now = server.stats();
  log::info("stopping", {{"signal", name_of_signal(number)},
                         {"requests_under_way", now.requests_in_flight},
                         {"connections", now.open_connections},
                         {"grace_period", grace}});
  opening.cancel("a signal to stop");
  service.stop_being_ready();
  server.stop();
  std::string reason;
  try {
    task<int> second = with_timeout(grace, signals.wait());
    number = co_await std::move(second);
    reason = "a second signal, " + std::string(name_of_signal(number));
  } catch (const timed_out&) {
    reason = "the grace period is over";
  }
  give_up(reason, server.stats());
}

// What rotates log files renames the file and sends this signal. Standard error is as it was.
task<void> reopen_log_on_hangup(net::signal_set& hangups, const log::options& how) {
  for (;;) {
    task<int> next = hangups.wait();
    co_await std::move(next);
    if (how.file.empty()) continue;
    try {
      log::reopen();
      log::info("log reopened", {{"signal", "SIGHUP"}});
    } catch (const error&) {
      log::exception(log::level::error, "log not reopened", std::current_exception());
    }
  }
}

listeners listen_on(const serve_config& config) {
  net::listen_options options;
  options.mode = static_cast<unsigned>(config.listen_mode);
  listeners at;
  try {
    for (const net::endpoint& where : config.listen) at.push_back(net::listen(where, options));
  } catch (error& failure) {
    failure.add_context("listen or --listen says where to serve");
    throw;
  }
  return at;
}

std::string url_of(const net::endpoint& where) {
  return where.type() == net::endpoint::kind::tcp ? "http://" + where.to_string() : where.to_string();
}

void log_places(const serve_config& config, const listeners& at) {
  std::string places;
  for (const std::unique_ptr<net::listener>& one : at) {
    const net::endpoint& where = one->local_endpoint();
    places += (places.empty() ? "" : ", ") + url_of(where);
    if (!only_from_this_machine(where))
      log::warn("listening without authentication: whoever reaches this address can read and store items",
                {{"address", where.to_string()}});
  }
  std::string streams;
  for (const ingest::stream_definition& s : config.ingest.streams)
    streams += (streams.empty() ? "" : ", ") + s.name + " -> " + s.table;
  log::info("serving", {{"listen", places}, {"store", log::redact_url(config.store_url)}, {"streams", streams}});
}

std::string places_to_announce(const listeners& at) {
  std::string lines;
  for (const std::unique_ptr<net::listener>& one : at) lines += "listening on " + url_of(one->local_endpoint()) + "\n";
  return lines;
}

// A thread for each connection that may be busy, so that no reader waits behind the commit of another stream.
std::size_t worker_threads(const ingest::service_options& options) {
  constexpr std::size_t most = 64;
  std::size_t wanted =
      options.read_connections + options.streams.size() * std::max<std::size_t>(1, options.batch.commits_in_flight);
  return std::clamp<std::size_t>(wanted, 1, most);
}

// What is open while one client is served.
std::uint64_t least_descriptors(const serve_config& config) {
  constexpr std::uint64_t of_the_process = 12;  // standard streams, log, the loop's own
  db::database store(config.store_url);
  std::uint64_t of_a_session = store.commits_can_be_ambiguous() ? 1 : 2;  // SQLite: the file and FILE-wal
  return of_the_process + config.listen.size() + of_a_session * ingest::used_sessions(config.ingest, store) + 1;
}

void start_log(const log::options& how) {
  try {
    log::configure(how);
  } catch (error& failure) {
    failure.add_context("log.file or --log-file says where the log is");
    throw;
  }
}

void run_serve(const serve_arguments& given) {
  if (given.print_reference) {
    std::cout << print_config_reference();
    return flush_output(std::cout);
  }
  loaded_config loaded = load_config(sources_of(given));
  if (given.print_config) {
    for (const std::string& warning : loaded.warnings) std::cerr << "penstock: " << warning << "\n";
    std::cout << print_config(loaded);
    return flush_output(std::cout);
  }
  const serve_config& config = loaded.values;
  start_log(config.log);
  for (const std::string& warning : loaded.warnings) log::warn("odd configuration", {{"what", warning}});
  allow_descriptors(config.http.max_connections, least_descriptors(config));
  net::run(serve(config), {.worker_threads = worker_threads(config.ingest)});
}

}  // namespace

void add_serve_command(CLI::App& app, int&) {
  auto given = std::make_shared<serve_arguments>();
  CLI::App* command = app.add_subcommand("serve", "Take items over HTTP and commit them to a database");
  add_serve_options(*command, *given);
  command->callback([given] { run_serve(*given); });
}

}  // namespace penstock::app
