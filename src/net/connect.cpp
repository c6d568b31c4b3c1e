#include "address.h"
#include "penstock/async/error.h"
#include "penstock/async/scheduler_observer.h"
#include "penstock/async/timeout.h"
#include "penstock/net/asio.h"
#include "penstock/net/error.h"
#include "penstock/net/listener.h"
#include "socket_stream.h"

namespace penstock::net {
namespace {

task<std::unique_ptr<stream>> connect_to_any(const endpoint& where, std::source_location made_at) {
  boost::asio::io_context& context = io_context_of(event_loop::current());
  std::vector<socket_address> addresses = co_await resolve(where);
  boost::system::error_code last;
  for (const socket_address& address : addresses) {
    stream_socket socket(context.get_executor());
    auto [failure] = co_await socket.async_connect(address, use_task_tuple);
    if (!failure)
      co_return std::make_unique<socket_stream>(std::move(socket), describe_address(address).to_string(), made_at);
    last = failure;
  }
  throw error(net_errc::connect_failed, "cannot connect to " + where.to_string() + ": " + last.message());
}

task<std::unique_ptr<stream>> connect_within(endpoint where, duration limit, std::source_location made_at) {
  note_real_operation("connecting to " + where.to_string());
  task<std::unique_ptr<stream>> connecting = connect_to_any(where, made_at);
  try {
    co_return co_await with_timeout(limit, std::move(connecting));
  } catch (timed_out& e) {
    e.add_context("connecting to " + where.to_string());
    throw;
  }
}

}  // namespace

// Not a coroutine: it would read the options when they are gone.
task<std::unique_ptr<stream>> connect(endpoint where, const connect_options& options, std::source_location made_at) {
  return connect_within(std::move(where), options.timeout, made_at);
}

}  // namespace penstock::net
