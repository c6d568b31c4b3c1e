#pragma once

#include "lookup_pool.h"
#include "penstock/net/event_loop.h"
#include "readiness.h"
#include "worker_pool.h"

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

namespace penstock::net {

// Asio's side of a loop, shared with the sockets that were made on it: those that are destroyed after the loop find it
// as it was, but for its handlers. No handler outlives the loop, whatever it owns.
struct loop_sockets {
  loop_sockets() = default;
  loop_sockets(const loop_sockets&) = delete;
  loop_sockets& operator=(const loop_sockets&) = delete;

  // With the loop: destroys the handlers of all that is under way.
  void end() noexcept;
  // Throws `async_errc::wrong_scheduler` once the loop has ended, as nothing would ever come of a wait.
  void require_loop(const char* whose) const { set.require_loop(whose); }

  std::mutex entrance;     // for other contexts' threads
  bool has_ended = false;  // guarded by entrance

  struct ending_context : boost::asio::io_context {
    ending_context() : io_context(1) {}
    using execution_context::shutdown;
  };
  ending_context context;
  readiness_set set{context};
};

struct event_loop::implementation {
  explicit implementation(event_loop& owner, std::size_t worker_threads);
  implementation(const implementation&) = delete;
  implementation& operator=(const implementation&) = delete;
  ~implementation() { sockets->end(); }

  // Moves what other threads posted to the ready queue; runs on the loop.
  void take_remote() noexcept;
  // Runs one of Asio's handlers, waiting for it until `limit`.
  void wait_for_sockets(std::optional<time_point> limit);

  event_loop& loop;
  std::shared_ptr<loop_sockets> sockets = std::make_shared<loop_sockets>();
  boost::asio::io_context& context = sockets->context;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_running{context.get_executor()};

  std::mutex remote_mutex;
  std::vector<work_item*> remote;  // guarded by remote_mutex
  bool wake_up_queued = false;     // guarded by remote_mutex
  std::vector<work_item*> taken;

  // Last: their threads post to the members above until they are closed.
  worker_pool workers;
  lookup_pool lookups;
};

}  // namespace penstock::net
