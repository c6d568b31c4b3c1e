#include "penstock/testing/chaos_proxy.h"

#include "chaos_connection.h"
#include "penstock/async/cancel.h"
#include "penstock/async/error.h"
#include "penstock/async/semaphore.h"
#include "penstock/async/task_group.h"
#include "penstock/testing/error.h"

#include <map>
#include <utility>

// Invariant: a connection is in the map from when it was accepted until its task has ended.

namespace penstock::testing {

struct chaos_proxy::implementation {
  implementation(connector c, const chaos_options& options)
      : connect(std::move(c)), shared{options, {}}, places(options.max_connections) {}

  task<void> accept_all(net::listener& at);
  task<void> run_connection(std::unique_ptr<net::stream> client, semaphore::permit place);
  bool end(std::uint64_t number, chaos_ending how) noexcept;
  std::size_t end_all(chaos_ending how) noexcept;

  connector connect;
  chaos_shared shared;
  semaphore places;
  toxics to_server;
  toxics to_client;
  std::map<std::uint64_t, chaos_connection*> open;
  bool stopped = false;
  cancel_scope serving;
};

chaos_proxy::chaos_proxy(connector connect_to_server, const chaos_options& options)
    : implementation_(std::make_unique<implementation>(std::move(connect_to_server), options)) {}

chaos_proxy::chaos_proxy(net::endpoint server, const chaos_options& options)
    : chaos_proxy([server = std::move(server)] { return net::connect(server); }, options) {}

chaos_proxy::~chaos_proxy() = default;

task<void> chaos_proxy::serve(net::listener& at) {
  implementation& self = *implementation_;
  try {
    task<void> accepting = self.serving.run(self.accept_all(at));
    co_await std::move(accepting);
  } catch (const operation_cancelled&) {
    if (!self.stopped) throw;
  }
}

task<void> chaos_proxy::implementation::accept_all(net::listener& at) {
  auto accept = [&](task_group& group) -> task<void> {
    for (;;) {
      semaphore::permit place = co_await places.acquire();
      task<std::unique_ptr<net::stream>> accepting = at.accept();
      std::unique_ptr<net::stream> client = co_await std::move(accepting);
      group.start(run_connection(std::move(client), std::move(place)), "proxied connection");
    }
  };
  task<void> all = with_task_group(accept);
  co_await std::move(all);
}

task<void> chaos_proxy::implementation::run_connection(std::unique_ptr<net::stream> client, semaphore::permit) {
  chaos_connection connection(++shared.counters.connections, std::move(client), shared, to_server, to_client);
  struct entry {
    entry(std::map<std::uint64_t, chaos_connection*>& m, chaos_connection& c) : map(m), number(c.number()) {
      map.emplace(number, &c);
    }
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;
    ~entry() { map.erase(number); }
    std::map<std::uint64_t, chaos_connection*>& map;
    std::uint64_t number;
  };
  entry listed(open, connection);
  task<void> running = connection.run(connect);
  co_await std::move(running);
}

void chaos_proxy::stop() noexcept {
  implementation_->stopped = true;
  implementation_->serving.cancel("the proxy was stopped");
}

void check(const toxics& what) {
  if (!(what.corrupt >= 0 && what.corrupt <= 1))
    throw error(testing_errc::bad_setting, "toxics: corrupt is a chance, from 0 to 1");
  if (what.lose_answer_every == 0)
    throw error(testing_errc::bad_setting, "toxics: lose_answer_every counts from 1, which is each time");
}

void chaos_proxy::set_toxics(flow direction, const toxics& what, applies_to which) {
  check(what);
  implementation& self = *implementation_;
  (direction == flow::to_server ? self.to_server : self.to_client) = what;
  if (which == applies_to::new_connections) return;
  for (auto& [number, connection] : self.open) connection->of(direction).set(what);
}

void chaos_proxy::clear_toxics() {
  set_toxics(flow::to_server, {});
  set_toxics(flow::to_client, {});
}

const toxics& chaos_proxy::toxics_of(flow direction) const noexcept {
  return direction == flow::to_server ? implementation_->to_server : implementation_->to_client;
}

std::vector<chaos_connection_info> chaos_proxy::connections() const {
  std::vector<chaos_connection_info> all;
  for (const auto& [number, connection] : implementation_->open)
    if (!connection->ended()) all.push_back(connection->info());
  return all;
}

bool chaos_proxy::cut(std::uint64_t number) noexcept { return implementation_->end(number, chaos_ending::closed); }
bool chaos_proxy::reset(std::uint64_t number) noexcept { return implementation_->end(number, chaos_ending::reset); }
std::size_t chaos_proxy::cut_all() noexcept { return implementation_->end_all(chaos_ending::closed); }
std::size_t chaos_proxy::reset_all() noexcept { return implementation_->end_all(chaos_ending::reset); }

bool chaos_proxy::implementation::end(std::uint64_t number, chaos_ending how) noexcept {
  auto found = open.find(number);
  if (found == open.end() || !found->second->end(how)) return false;
  ++shared.counters.cut_connections;
  return true;
}

std::size_t chaos_proxy::implementation::end_all(chaos_ending how) noexcept {
  std::size_t ended = 0;
  for (auto& [number, connection] : open) ended += connection->end(how) ? 1 : 0;
  shared.counters.cut_connections += ended;
  return ended;
}

chaos_counters chaos_proxy::counters() const noexcept { return implementation_->shared.counters; }

}  // namespace penstock::testing
