#pragma once

#include "lookup_pool.h"
#include "penstock/net/event_loop.h"
#include "readiness.h"
#include "worker_pool.h"

#include <mutex>
#include <optional>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

namespace penstock::net {

struct event_loop::implementation {
  explicit implementation(event_loop& owner, std::size_t worker_threads);

  // Moves what other threads posted to the ready queue; runs on the loop.
  void take_remote() noexcept;
  // Runs one of Asio's handlers, waiting for it until `limit`.
  void wait_for_sockets(std::optional<time_point> limit);

  event_loop& loop;
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_running{context.get_executor()};

  readiness_set sockets{context};

  std::mutex remote_mutex;
  std::vector<work_item*> remote;  // guarded by remote_mutex
  bool wake_up_queued = false;     // guarded by remote_mutex
  std::vector<work_item*> taken;

  // Last: their threads post to the members above until they are closed.
  worker_pool workers;
  lookup_pool lookups;
};

}  // namespace penstock::net
