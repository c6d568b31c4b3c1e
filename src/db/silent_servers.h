#pragma once

// Servers that left a COMMIT without an answer. One whose cluster or standby has gone on without it lets clients in,
// and its commits wait for the others for ever: what comes next begins elsewhere, and comes back where nobody else
// takes it. The sessions that it has then are dead, as soon as nothing is open in them.

#include "penstock/async/scheduler.h"
#include "server_url.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace penstock::db {

class silent_servers {
 public:
  void note(const server_address& at, time_point when) {
    auto known = std::find_if(since_.begin(), since_.end(), [&](const silence& s) { return s.of == at; });
    if (known != since_.end())
      known->since = when;
    else
      since_.push_back({at, when});
    last_ = at;
  }
  // Whether one was silent after a session with it was opened.
  bool has(const server_address& at, time_point opened) const noexcept {
    return std::any_of(since_.begin(), since_.end(), [&](const silence& s) { return opened <= s.since && s.of == at; });
  }
  // The last that was noted, once.
  std::optional<server_address> take_last() noexcept { return std::exchange(last_, std::nullopt); }

 private:
  struct silence {
    server_address of;
    time_point since;
  };

  std::vector<silence> since_;
  std::optional<server_address> last_;
};

}  // namespace penstock::db
