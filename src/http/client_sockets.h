#pragma once

#include "penstock/net/event_loop.h"

#include <memory>
#include <unordered_map>

#include <curl/curl.h>

namespace penstock::http {

// Watches libcurl's sockets on the event loop. The sockets stay libcurl's: they are only lent to Asio.
class client_sockets {
 public:
  // Told when a socket is ready; `ready` is of CURL_CSELECT_IN and CURL_CSELECT_OUT. Called by the loop, never from
  // here.
  class listener {
   public:
    virtual void socket_ready(curl_socket_t socket, int ready) noexcept = 0;

   protected:
    ~listener() = default;
  };

  client_sockets(net::event_loop& loop, listener& told) : loop_(loop), told_(told) {}
  client_sockets(const client_sockets&) = delete;
  client_sockets& operator=(const client_sockets&) = delete;
  ~client_sockets();

  // From now on watches for what `wanted` says: CURL_POLL_IN, OUT, INOUT, or REMOVE to let go of the socket. Throws
  // when the system can't watch it.
  void watch(curl_socket_t socket, int wanted);

 private:
  struct watched;

  net::event_loop& loop_;
  listener& told_;
  std::unordered_map<curl_socket_t, std::shared_ptr<watched>> sockets_;
};

}  // namespace penstock::http
