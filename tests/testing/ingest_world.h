#pragma once

// All of ingest in one simulated process: the HTTP server, the service with its coalescers and pools, a database and a
// network that fail, and clients. A run has two phases: load under faults, in which the process may be stopped or
// killed and another takes its place; then all is healed, and everything must come to its end. What must hold then is
// in ingest_accounting.h.

#include "ingest_accounting.h"
#include "ingest_clients.h"
#include <penstock/async/cancel.h>
#include <penstock/async/event.h>
#include <penstock/async/task_group.h>
#include <penstock/core/traceback.h>
#include <penstock/http/server.h>
#include <penstock/ingest/service.h>
#include <penstock/observe/metrics.h>
#include <penstock/testing/database.h>
#include <penstock/testing/network.h>
#include <penstock/testing/simulation.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace penstock::testing {

// A table without a unique key, and one with.
inline std::vector<ingest::stream_definition> simulated_streams() {
  ingest::stream_definition plain;
  plain.name = "plain";
  plain.table = "plain_items";
  plain.columns = {{.name = "code", .pointer = "/id", .required = true},
                   {.name = "payload", .pointer = "/payload", .required = true}};
  ingest::stream_definition keyed = plain;
  keyed.name = "keyed";
  keyed.table = "keyed_items";
  keyed.key = {"code"};
  return {plain, keyed};
}

class ingest_world {
 public:
  explicit ingest_world(simulation& sim) : sim_(sim) {}

  // Gives what did not hold; empty when all did.
  task<std::vector<std::string>> run() {
    draw_options();
    std::exception_ptr failure;
    try {
      auto both = [&](task_group& group) -> task<void> {
        group.start(run_processes(), "processes");
        task<void> loading = load();
        co_await std::move(loading);
      };
      task<void> whole = with_task_group(both);
      co_await std::move(whole);
    } catch (...) {
      failure = std::current_exception();
    }
    store_.heal();
    co_await sleep_for(1s);  // sessions of clients that were lost end by then
    accounting all(sent_, store_);
    std::vector<std::string> wrong = all.faults();
    if (failure) wrong.push_back("the service failed: " + penstock::describe(failure));
    check_counters(all.rows(), wrong);
    if (store_.sessions() != 0) wrong.push_back("database sessions are left:\n" + store_.processlist());
    if (net_.open_ends() != 0) wrong.push_back("connections are left:\n" + net_.netstat());
    co_return wrong;
  }

  std::string describe_faults() const {
    return "network faults: " + network_faults_.to_string() + "\ndatabase faults: " + database_faults_.to_string();
  }
  const sent_so_far& sent() const noexcept { return sent_; }

 private:
  // Bounds are tight in many runs, so that they are met.
  void draw_options() {
    random_stream& from = sim_.random_for("options");
    options_.streams = simulated_streams();
    options_.batch.max_rows = from.chance(0.5) ? 3 + from.below(30) : 10'000;
    options_.batch.queue_rows = from.chance(0.3) ? 20 + from.below(60) : 100'000;
    options_.batch.commits_in_flight = 1 + from.below(4);
    options_.batch.linger = from.between(0ms, 5ms);
    options_.batch.commit_retry = from.between(500ms, 10s);
    if (from.chance(0.3)) server_options_.max_connections = 2 + from.below(4);
    if (from.chance(0.5)) server_options_.idle_timeout = 2s;
    if (from.chance(0.5)) server_options_.body_timeout = server_options_.write_timeout = 2s;
    clients_ = 2 + from.below(5);
    requests_ = 4 + from.below(12);
    load_lasts_ = from.between(2s, 10s);
    for (std::uint64_t ends = from.below(4); ends > 1; --ends)
      ends_.push_back({from.between(0s, 5s), from.chance(0.5)});
    if (from.chance(0.3)) options_.keyed_body_timeout = 1s;
    network_faults_ = network_faults::swarm(sim_.random_for("fault choice"));
    database_faults_ = database_faults::swarm(sim_.random_for("fault choice"));
  }

  // One process after another: each ends by a stop, which drains it, or is cut short where it is.
  task<void> run_processes() {
    while (!load_over_.is_set()) {
      cancel_scope life;
      life_ = &life;
      killed_ = false;
      try {
        task<void> living = life.run(serve());
        co_await std::move(living);
      } catch (const operation_cancelled&) {
        if (!killed_) throw;
      }
      life_ = nullptr;
    }
  }

  task<void> serve() {
    stop_asked_.clear();
    ingest::service s(store_.server(), options_, &registry_);
    database_faults at_start = healed_ ? lasting_faults() : database_faults_;
    at_start.full = 0;  // with which the service would end, as it should
    store_.set_faults(at_start);
    task<bool> opening = s.open();
    bool open = co_await std::move(opening);
    if (open && !healed_) store_.set_faults(database_faults_);
    http::router routes;
    s.add_routes(routes);
    http::server server(std::move(routes), server_options_);
    server.measure(registry_);
    std::unique_ptr<net::listener> listener = net_.listen("server", 80);
    auto committing = [&](task_group& group) -> task<void> {
      group.start(s.run(), "service");
      std::exception_ptr failure;
      try {
        task<void> answering = answer_until_stopped(server, *listener);
        co_await std::move(answering);
      } catch (...) {
        failure = std::current_exception();
      }
      s.stop();
      if (failure) std::rethrow_exception(failure);
    };
    task<void> whole = with_task_group(committing);
    co_await std::move(whole);
  }

  // Returns when no request is under way any more.
  task<void> answer_until_stopped(http::server& server, net::listener& listener) {
    auto serving = [&](task_group& group) -> task<void> {
      group.start(server.serve(listener), "server");
      auto asked = stop_asked_.wait();
      co_await asked;
      server.stop();
    };
    task<void> whole = with_task_group(serving);
    co_await std::move(whole);
  }

  task<void> load() {
    net_.set_faults(network_faults_);
    random_stream& random = sim_.random_for("clients");
    std::vector<std::unique_ptr<ingest_client>> all;
    for (std::size_t i = 0; i < clients_; ++i)
      all.push_back(std::make_unique<ingest_client>(net_, "client" + std::to_string(i), random, sent_));
    auto running = [&](task_group& group) -> task<void> {
      for (auto& client : all) group.start(client->send_requests(requests_, healed_), "client");
      for (const process_end& next : ends_) {
        co_await sleep_for(next.after);
        if (next.drained)
          stop_asked_.set();
        else if (life_ != nullptr && !std::exchange(killed_, true))
          life_->cancel("killed");
      }
      co_await sleep_for(load_lasts_);
      net_.heal();
      store_.heal();
      store_.set_faults(lasting_faults());
      healed_ = true;
    };
    task<void> whole = with_task_group(running);
    co_await std::move(whole);
    task<void> asking = expect_ready();
    co_await std::move(asking);
    load_over_.set();
    stop_asked_.set();
  }

  // What the database does not take is no passing trouble.
  database_faults lasting_faults() const { return {.refuse_row = database_faults_.refuse_row}; }

  // Long after the heal the service takes items again.
  task<void> expect_ready() {
    // A process that was cut short in a COMMIT ends when the database's silence has lasted for its `give_up`, 30 s.
    co_await sleep_for(45s);
    http::client_options options;
    options.connect = net_.connector("probe");
    http::client probe(options);
    task<http::client_response> asking = probe.get("http://server:80/readyz");
    http::client_response answer = co_await std::move(asking);
    task<void> closing = probe.close();
    co_await std::move(closing);
    if (answer.status != 200) sent_.surprises.push_back("not ready long after all was well: " + answer.body);
  }

  void check_counters(std::size_t rows, std::vector<std::string>& wrong) {
    std::uint64_t stored = 0, failed = 0;
    for (const char* stream : {"plain", "keyed"}) {
      stored += counted(stream, "stored");
      failed += counted(stream, "failed");
    }
    // What failed with an unknown outcome may be stored, and so may what a process that was cut short did not count.
    bool all_counted = std::all_of(ends_.begin(), ends_.end(), [](const process_end& end) { return end.drained; });
    if (rows < stored || (all_counted && rows > stored + failed))
      wrong.push_back(std::to_string(rows) + " rows are stored; counted are " + std::to_string(stored) +
                      " stored and " + std::to_string(failed) + " failed items");
  }
  std::uint64_t counted(const char* stream, const char* result) {
    return registry_
        .counter("penstock_items_total", "Items, by how they ended.", {{"stream", stream}, {"result", result}})
        .value();
  }

  // When a process ends, after the one before it; whether it may drain.
  struct process_end {
    duration after;
    bool drained;
  };

  simulation& sim_;
  metrics::registry registry_;
  network net_;
  database store_;
  ingest::service_options options_;
  http::server_options server_options_;
  network_faults network_faults_;
  database_faults database_faults_;
  std::size_t clients_ = 0;
  std::size_t requests_ = 0;
  duration load_lasts_{};
  std::vector<process_end> ends_;
  bool healed_ = false;
  event load_over_;
  event stop_asked_;
  cancel_scope* life_ = nullptr;  // of the process that runs
  bool killed_ = false;
  sent_so_far sent_;
};

}  // namespace penstock::testing
