#include "client_sockets.h"

#include "penstock/net/asio.h"

#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>

// Invariants: a socket is in Asio's hands only between `watch` with a wish and `watch` with CURL_POLL_REMOVE, which
// libcurl calls before it closes the socket. A handler that comes later finds no listener and does nothing. Handlers
// only queue what tells the listener, and the next wait begins behind that: a peer that sends faster than it is read
// would keep Asio busy with one pass for ever.

namespace penstock::http {

using boost::asio::posix::descriptor_base;

struct client_sockets::watched : std::enable_shared_from_this<watched>, work_item {
  watched(net::event_loop& l, curl_socket_t s, listener& t)
      : work_item(&tell), loop(l), socket(s), told(&t), descriptor(net::io_context_of(l).get_executor()) {
    descriptor.assign(s);
  }
  ~watched() {
    if (descriptor.is_open()) descriptor.release();
  }

  void wish(int wanted) {
    wants =
        ((wanted & CURL_POLL_IN) != 0 ? CURL_CSELECT_IN : 0) | ((wanted & CURL_POLL_OUT) != 0 ? CURL_CSELECT_OUT : 0);
    arm();
  }
  // Each wait is for one event, so that a level that stays up is seen again.
  void arm() {
    wait(descriptor_base::wait_read, CURL_CSELECT_IN);
    wait(descriptor_base::wait_write, CURL_CSELECT_OUT);
  }
  void wait(descriptor_base::wait_type what, int event) {
    if ((wants & event) == 0 || (waits & event) != 0) return;
    waits |= event;
    descriptor.async_wait(what, [self = shared_from_this(), event](boost::system::error_code) {
      self->waits &= ~event;
      if (self->told == nullptr) return;
      self->came |= event;
      if (!self->linked()) self->loop.post(*self);
    });
  }
  static void tell(work_item& item) noexcept {
    auto self = static_cast<watched&>(item).shared_from_this();
    int ready = std::exchange(self->came, 0) & self->wants;
    if (ready != 0) self->told->socket_ready(self->socket, ready);
    if (self->told != nullptr) self->arm();
  }
  void let_go() noexcept {
    told = nullptr;
    unlink();
    descriptor.release();
  }

  net::event_loop& loop;
  curl_socket_t socket;
  listener* told;
  int wants = 0, waits = 0, came = 0;  // of CURL_CSELECT_IN and CURL_CSELECT_OUT
  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> descriptor;
};

client_sockets::~client_sockets() {
  for (auto& [socket, w] : sockets_) w->let_go();
}

void client_sockets::watch(curl_socket_t socket, int wanted) {
  auto found = sockets_.find(socket);
  if (wanted == CURL_POLL_REMOVE) {
    if (found == sockets_.end()) return;
    found->second->let_go();
    sockets_.erase(found);
    return;
  }
  if (found == sockets_.end()) {
    auto fresh = std::make_shared<watched>(loop_, socket, told_);
    found = sockets_.emplace(socket, std::move(fresh)).first;
  }
  found->second->wish(wanted);
}

}  // namespace penstock::http
