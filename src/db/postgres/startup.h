#pragma once

#include "../server_url.h"
#include "penstock/async/task.h"

#include <memory>

#include <libpq-fe.h>

namespace penstock::db::postgres {

struct connection_closer {
  void operator()(PGconn* c) const noexcept { PQfinish(c); }
};
using connection_handle = std::unique_ptr<PGconn, connection_closer>;

// Connects to one server: its name is resolved off the loop, and its addresses are tried in turn. Cancellable. Throws
// `database_error`. The arguments must outlive the task.
task<connection_handle> connect_to(const server_url& url, const server_address& at);

}  // namespace penstock::db::postgres
