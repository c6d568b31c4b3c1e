#pragma once

// What the sessions of one database share: where it is, which of them were closed while they ran something, and what
// they learn about its tables.

#include "../server_url.h"
#include "cancel_request.h"
#include "penstock/async/scheduler.h"

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace penstock::db::postgres {

// A session that was closed in mid-statement. Its server notices that only when it has something to send, and until
// then the statement runs on and keeps its locks; so it is ended when the next session is opened there.
struct orphan {
  std::string server;
  cancel_request ending;
  time_point since;
};

struct server_context {
  server_url url;
  std::vector<orphan> orphans = {};
  std::map<std::string, std::size_t, std::less<>> copied_rows = {};  // by table: how many go in one COPY
};

}  // namespace penstock::db::postgres
