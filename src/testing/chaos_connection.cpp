#include "chaos_connection.h"

#include "penstock/async/gather.h"
#include "penstock/async/scheduler.h"

#include <string>
#include <utility>

// Invariant: both streams live until no task reads or writes them; whoever ends the connection closes them first and
// cancels the tasks then.

namespace penstock::testing {

chaos_connection::chaos_connection(std::uint64_t number, std::unique_ptr<net::stream> client, chaos_shared& shared,
                                   const toxics& to_server, const toxics& to_client)
    : number_(number),
      shared_(shared),
      accepted_(scheduler::current().now()),
      client_(std::move(client)),
      to_server_(shared, shared.counters.bytes_to_server, std::to_string(number) + " to server", to_server,
                 [this](chaos_ending how) { end(how, flow::to_server); }),
      to_client_(shared, shared.counters.bytes_to_client, std::to_string(number) + " to client", to_client,
                 [this](chaos_ending how) { end(how, flow::to_client); }) {}

task<void> chaos_connection::run(const chaos_proxy::connector& connect) {
  try {
    task<void> passing = scope_.run(pass(connect));
    co_await std::move(passing);
  } catch (const operation_cancelled&) {
    if (!ended_) throw;
  }
}

task<void> chaos_connection::pass(const chaos_proxy::connector& connect) {
  try {
    task<std::unique_ptr<net::stream>> connecting = connect();
    server_ = co_await std::move(connecting);
  } catch (const operation_cancelled&) {
    throw;
  } catch (const error&) {
    ++shared_.counters.failed_connects;
    client_->reset();
    co_return;
  }
  auto both = gather(to_server_.pass(*client_, *server_, to_client_), to_client_.pass(*server_, *client_, to_server_));
  co_await std::move(both);
}

// `unheard` is the direction that was lost, where one was.
bool chaos_connection::end(chaos_ending how, flow unheard) noexcept {
  if (std::exchange(ended_, true)) return false;
  bool lost = how == chaos_ending::lost_answer;
  bool reset_client = how == chaos_ending::reset || (lost && unheard == flow::to_client);
  bool reset_server = how == chaos_ending::reset || (lost && unheard == flow::to_server);
  reset_client ? client_->reset() : client_->close();
  if (server_) reset_server ? server_->reset() : server_->close();
  scope_.cancel("the connection was cut");
  return true;
}

chaos_connection_info chaos_connection::info() const {
  return {number_, client_->remote_address(), scheduler::current().now() - accepted_, to_server_.passed_on(),
          to_client_.passed_on()};
}

}  // namespace penstock::testing
