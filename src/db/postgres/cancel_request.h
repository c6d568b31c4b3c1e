#pragma once

#include "penstock/async/task.h"

#include <memory>

#include <libpq-fe.h>

namespace penstock::db::postgres {

// A request to end what a session runs; the session may be gone when it is sent.
class cancel_request {
 public:
  // Empty when there is no memory, or the session was never connected.
  explicit cancel_request(PGconn* session) : handle_(PQgetCancel(session), &PQfreeCancel) {}

  // Connects to the server and waits until it has taken the request, for no longer than the limit. False when it was
  // not reached; it may be too busy for the moment. What runs when it comes is ended; a statement that the server
  // begins later is not.
  task<bool> send(duration limit) const;

 private:
  std::shared_ptr<PGcancel> handle_;  // null when empty
};

}  // namespace penstock::db::postgres
