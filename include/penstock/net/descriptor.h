#pragma once

// Waits for the sockets of client libraries that do their own reading and writing, such as libpq.
//
//   descriptor_watch socket(PQsocket(session));
//   co_await socket.wait(readiness::readable);
//   PQconsumeInput(session);

#include "penstock/async/task.h"

#include <chrono>
#include <memory>

namespace penstock::net {

/// What a descriptor is ready for; a set.
enum class readiness : unsigned char { none = 0, readable = 1, writable = 2 };

/// What is in either set.
constexpr readiness operator|(readiness a, readiness b) noexcept {
  return static_cast<readiness>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
/// True when the set has something of `one`.
constexpr bool includes(readiness set, readiness one) noexcept {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0;
}

/// Watches a descriptor that belongs to somebody else, on the running task's event loop. It watches a duplicate of its
/// own, so that the owner may close the descriptor at any time, as client libraries do within their calls, and the
/// number may go to another: the connection then ends with the watch. Throws `async_errc::no_scheduler` where no event
/// loop runs, `error` with a `net_errc` when the system can't watch the descriptor or has none left.
class descriptor_watch {
 public:
  explicit descriptor_watch(int descriptor);
  descriptor_watch(descriptor_watch&&) noexcept;
  descriptor_watch& operator=(descriptor_watch&&) noexcept;
  ~descriptor_watch();

  /// Waits until the descriptor is ready for something of what is `wanted`, and gives what; an error or an end of the
  /// connection counts as readable and writable. At once when it is ready already: the level counts, not its change.
  /// Cancellable. One wait at a time; where the watch is destroyed meanwhile, the wait ends with
  /// `net_errc::connection_closed`.
  task<readiness> wait(readiness wanted);
  /// As `wait`, but gives `none` once the peer's system has left what was sent over TCP unanswered for about `limit`, 2
  /// s at least. A peer that takes nothing more, but whose system says so when it is asked (RFC 9293, 3.8.6.1), is
  /// waited for; so is whatever is no TCP connection. A peer that vanishes after that is noticed the next time it is
  /// asked, which is ever more seldom: within the time it took nothing, and 2 minutes at most.
  task<readiness> wait_while_answered(readiness wanted, duration limit);

 private:
  struct implementation;
  std::shared_ptr<implementation> implementation_;  // null when moved from
};

/// Lets the system give up a TCP connection on which nothing is sent, when its peer does not answer for about `limit`,
/// 3 s at least: waits for its socket then end with an error. Silence alone is no reason, as long as the peer's system
/// is there. What is sent is not limited: see `descriptor_watch::wait_while_answered`. False, and nothing happens, when
/// it is no TCP connection.
bool limit_silence(int descriptor, std::chrono::seconds limit) noexcept;

/// A Unix stream socket that is neither bound nor connected, non-blocking and closed by exec: for client libraries that
/// need a descriptor within the process. The caller closes it. Throws `error` with `net_errc::io_failed` when the
/// system has none left.
int make_unix_socket();

}  // namespace penstock::net
