#pragma once

// What the sessions of one database share: where it is, which of them were closed while they ran something, and what
// they learn about its tables, and whose turn it is to store many rows.

#include "../fitting_tables.h"
#include "../insertion_turns.h"
#include "../server_url.h"
#include "../silent_servers.h"
#include "cancel_request.h"
#include "penstock/async/scheduler.h"
#include "refused_values.h"

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
  int tries = 0;  // to end it
};

// What batches that were copied into a table leave to the next ones.
struct copy_history {
  std::size_t segment_rows;  // how many go in one COPY
  refused_values refused = {};
};

struct server_context {
  server_url url;
  std::vector<orphan> orphans = {};
  std::map<std::string, copy_history, std::less<>> copies = {};  // by table
  // Two sessions keep a small server busy, and a third one only waits for their locks. Ids are taken by one at a time,
  // just before its turn: those of a batch follow one another then, and rows come to the end of the ids' index.
  insertion_turns turns{2};
  insertion_turns id_turns{1};
  fitting_tables fits = {};
  silent_servers silent = {};
};

}  // namespace penstock::db::postgres
