#pragma once

// Servers that left a COMMIT without an answer. One whose cluster or standby has gone on without it lets clients in,
// and its commits wait for the others for ever: what comes next begins elsewhere, and comes back where nobody else
// takes it. The sessions that it has then are dead, as soon as nothing is open in them.

#include "penstock/async/scheduler.h"
#include "server_url.h"

#include <map>
#include <optional>
#include <string>
#include <utility>

namespace penstock::db {

class silent_servers {
 public:
  void note(const server_address& at, time_point when) {
    since_[at.to_string()] = when;
    last_ = at;
  }
  // Whether one was silent after a session with it was opened.
  bool has(const server_address& at, time_point opened) const {
    if (since_.empty()) return false;
    auto found = since_.find(at.to_string());
    return found != since_.end() && opened <= found->second;
  }
  // The last that was noted, once.
  std::optional<server_address> take_last() noexcept { return std::exchange(last_, std::nullopt); }

 private:
  std::map<std::string, time_point> since_;
  std::optional<server_address> last_;
};

}  // namespace penstock::db
