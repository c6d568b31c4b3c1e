#pragma once

#include "penstock/async/event.h"
#include "penstock/async/task_group.h"
#include "penstock/http/server.h"
#include "server_metrics.h"

#include <memory>
#include <optional>
#include <string>

namespace penstock::http {

class connection;

// The field lines that every answer has: Date (RFC 9110, 6.6.1), made once a second, and Server.
class server_fields {
 public:
  explicit server_fields(std::string server_name) : server_name_(std::move(server_name)) {}
  const std::string& at(const scheduler& clock);

 private:
  std::string server_name_;
  time_point next_second_ = time_point::min();
  std::string lines_;
};

struct server::implementation {
  implementation(router r, const server_options& o) : routes(std::move(r)), options(o), fields(o.server_name) {}

  task<void> accept_all(net::listener& at, task_group& group);
  task<void> accept_those_who_wait(net::listener& at, task_group& group);
  bool is_full() const noexcept;
  task<void> wait_for_end();  // of a connection
  void take_in(std::unique_ptr<net::stream> stream, task_group& group);
  task<void> stop_and_linger();
  task<void> serve_one(std::unique_ptr<net::stream> stream);

  router routes;
  server_options options;
  server_counts counts;
  server_fields fields;
  std::optional<server_metrics> metrics;
  bool stopping = false;
  event stop_asked;
  event room;  // set when a connection has ended
  penstock::detail::list<connection> connections;
};

}  // namespace penstock::http
