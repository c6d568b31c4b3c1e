#pragma once

// The servers of one URL, in the order in which they are tried. Invariant: an attempt that fails or is cut short moves
// on, so that a server which swallows connections is not the first one the next time; one that is under way does not,
// so that others who connect meanwhile begin with the same server.

#include "penstock/async/task.h"
#include "penstock/db/connection.h"
#include "server_url.h"

#include <cstddef>
#include <functional>
#include <memory>

namespace penstock::db {

// What the first of so many attempts may take of the time that is left to all: a host's address that swallows packets
// is not to use up what its next one needs, nor many addresses to leave none enough for a slow login.
duration share_of_time_left(std::size_t attempts);

class host_rotation {
 public:
  // Opens a session with one server, or throws; `db_errc::read_only` for one that takes no writes when a primary is
  // wanted.
  using opener = std::function<task<std::unique_ptr<connection>>(const server_address& at)>;

  explicit host_rotation(const server_url& url) noexcept : url_(url) {}

  // Tries the server that worked last, then those after it, each once and for at most `connect_timeout`. Throws what
  // the last one failed with when it is the only one; else an error that says of each what it failed with, and that is
  // transient when any is. Cancellable.
  task<std::unique_ptr<connection>> connect(opener open);

  // Begins with the one behind this server the next time, if it would begin with it: it lets clients in, and does not
  // do what they ask for.
  void pass_over(const server_address& at) noexcept;

 private:
  const server_url& url_;
  std::size_t next_ = 0;
};

}  // namespace penstock::db
