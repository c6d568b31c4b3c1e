#pragma once

#include "penstock/async/event.h"
#include "penstock/async/task_group.h"
#include "penstock/http/server.h"

#include <memory>
#include <string>

namespace penstock::http {

class connection;

// The current time as the Date field wants it (RFC 9110, 5.6.7), made once a second.
class date_text {
 public:
  const std::string& at(system_time now);

 private:
  std::int64_t second_ = -1;
  std::string text_;
};

struct server::implementation {
  implementation(router r, const server_options& o) : routes(std::move(r)), options(o) {}

  task<void> accept_all(net::listener& at, task_group& group);
  task<void> serve_one(std::unique_ptr<net::stream> stream);

  router routes;
  server_options options;
  server_stats stats;
  date_text date;
  bool stopping = false;
  event stop_asked;
  event room;  // set when a connection has ended
  penstock::detail::list<connection> connections;
};

}  // namespace penstock::http
