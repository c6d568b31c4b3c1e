#pragma once

// Which sockets of a loop's streams can be read and written. One registration a socket, edge-triggered, so that waiting
// costs no system call: Asio's own reads try the socket once in vain for each request of a kept-alive connection, and
// its waits change the registration each time. The set is itself a descriptor that Asio watches.

#include "penstock/async/suspension.h"

#include <coroutine>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

namespace penstock::net {

// Awaits one direction of a socket. At most one wait a direction.
class [[nodiscard]] readiness_wait final : public suspension {
 public:
  explicit readiness_wait(readiness_wait*& place) noexcept : place_(place) {}
  ~readiness_wait() {
    if (place_ == this) place_ = nullptr;
  }
  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    place_ = this;
    suspend(task.promise());
  }
  void await_resume() const { throw_if_cancelled(); }
  std::string_view waiting_for() const noexcept override { return "a socket"; }
  void ready() noexcept {
    place_ = nullptr;
    wake();
  }

 private:
  void cancel() noexcept override {
    place_ = nullptr;
    wake_cancelled();
  }
  readiness_wait*& place_;
};

// What is known of one socket. `readable` may be up in vain, and is never down in vain; sending just tries.
struct socket_readiness {
  bool readable = true;
  // A read that did not fill its buffer need not have emptied the socket: the peer has ended its direction, so that
  // reading never waits any more; or has sent urgent data (tcp(7)), in front of which reads stop.
  bool short_reads = false;
  readiness_wait* reader = nullptr;
  readiness_wait* writer = nullptr;

  void wake_all() noexcept;
};

class readiness_set {
 public:
  explicit readiness_set(boost::asio::io_context& context);
  readiness_set(const readiness_set&) = delete;
  readiness_set& operator=(const readiness_set&) = delete;

  // Watches a socket until `remove`; `of` stays where it is. False when the system refuses.
  bool add(int socket, socket_readiness& of) noexcept;
  void remove(int socket) noexcept;

  // The loop is about to go: no event is taken any more.
  void end() noexcept { ended_ = true; }
  // Throws `async_errc::wrong_scheduler` when it has gone.
  void require_loop(const char* whose) const {
    if (ended_) [[unlikely]]
      throw_ended(whose);
  }

 private:
  [[noreturn]] static void throw_ended(const char* whose);

  void watch();
  void take_events() noexcept;

  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> set_;
  bool ended_ = false;
};

}  // namespace penstock::net
