#include "client_sockets.h"

#include "penstock/net/asio.h"

#include <boost/asio/posix/stream_descriptor.hpp>

// Invariants: a socket is in Asio's hands only between `watch` with a wish and `watch` with CURL_POLL_REMOVE, which
// libcurl calls before it closes the socket. A handler that comes later finds no listener and does nothing.

namespace penstock::http {

using boost::asio::posix::descriptor_base;

struct client_sockets::watched : std::enable_shared_from_this<watched> {
  watched(boost::asio::io_context& context, curl_socket_t s, listener& l)
      : socket(s), told(&l), descriptor(context.get_executor()) {
    descriptor.assign(s);
  }
  ~watched() {
    if (descriptor.is_open()) descriptor.release();
  }

  void wish(int wanted) {
    wants_in = (wanted & CURL_POLL_IN) != 0;
    wants_out = (wanted & CURL_POLL_OUT) != 0;
    arm();
  }
  // Each wait is for one event, so that a level that stays up is seen again.
  void arm() {
    if (wants_in && !waits_in) wait(descriptor_base::wait_read, waits_in, wants_in, CURL_CSELECT_IN);
    if (wants_out && !waits_out) wait(descriptor_base::wait_write, waits_out, wants_out, CURL_CSELECT_OUT);
  }
  void wait(descriptor_base::wait_type what, bool& waits, const bool& wants, int ready) {
    waits = true;
    descriptor.async_wait(what, [self = shared_from_this(), &waits, &wants, ready](boost::system::error_code) {
      waits = false;
      if (self->told == nullptr) return;
      if (wants) self->told->socket_ready(self->socket, ready);
      if (self->told != nullptr) self->arm();
    });
  }
  void let_go() noexcept {
    told = nullptr;
    descriptor.release();
  }

  curl_socket_t socket;
  listener* told;
  bool wants_in = false, wants_out = false;
  bool waits_in = false, waits_out = false;
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
    auto fresh = std::make_shared<watched>(net::io_context_of(loop_), socket, told_);
    found = sockets_.emplace(socket, std::move(fresh)).first;
  }
  found->second->wish(wanted);
}

}  // namespace penstock::http
