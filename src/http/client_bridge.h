#pragma once

#include "penstock/async/cancel.h"
#include "penstock/async/event.h"
#include "penstock/async/task_group.h"
#include "penstock/http/client.h"

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <curl/curl.h>

namespace penstock::http {

class multi_entry;

// Gives libcurl a Unix socket for each connection, and carries bytes between its peer, which is here too, and a stream
// of `client_options::connect`. Nobody waits for these sockets: they are connected at once, and what is written at one
// end is there at the other, so that time stays the scheduler's. (A pair of sockets would do, were it not that libcurl
// 7.88 connects those again that it is told are connected.)
class client_bridge {
 public:
  // Called by the loop, never from the calls below.
  class listener {
   public:
    // `ready` is of CURL_CSELECT_IN and CURL_CSELECT_OUT.
    virtual void socket_ready(curl_socket_t socket, int ready) noexcept = 0;
    // The connection that was opened for this transfer could not be made.
    virtual void connect_failed(multi_entry& opener, std::exception_ptr why) noexcept = 0;

   protected:
    ~listener() = default;
  };

  // Made inside a task, below whose scope the bytes are carried.
  client_bridge(stream_connector connect, duration connect_timeout, listener& told);
  client_bridge(const client_bridge&) = delete;
  client_bridge& operator=(const client_bridge&) = delete;
  ~client_bridge();

  // A socket that stands for a connection to this endpoint, which is being made; `address` becomes that of the bridge,
  // which libcurl connects it to next. Throws when the system has none.
  curl_socket_t open(const net::endpoint& to, multi_entry& opener, curl_sockaddr& address);
  // As `client_sockets::watch`.
  void watch(curl_socket_t socket, int wanted) noexcept;
  // libcurl has no more use for the socket. What it wrote is still sent.
  void close(curl_socket_t socket) noexcept;
  // Waits until all connections are closed; none may be opened any more.
  task<void> join() { return carrying_.join(); }
  bool carries() const noexcept { return carrying_.size() > 0; }
  // After libcurl was entered: takes what it wrote, and sees what it waits for.
  void catch_up() noexcept;

 private:
  struct link;
  class socket_handle;

  std::shared_ptr<link> find(curl_socket_t socket) const noexcept;
  void listen();
  void accept_connected() noexcept;
  void take_written(link& l) noexcept;
  void look(link& l) noexcept;
  task<void> carry(std::shared_ptr<link> l);
  task<void> carry_both_ways(std::shared_ptr<link> l);
  task<bool> connect(std::shared_ptr<link> l);
  task<void> send(std::shared_ptr<link> l);
  task<void> receive(std::shared_ptr<link> l);

  stream_connector connect_;
  duration connect_timeout_;
  listener& told_;
  std::unique_ptr<socket_handle> listening_;  // once there was a connection
  std::vector<std::shared_ptr<link>> links_;  // in the order they were opened
  task_group carrying_;                       // first to go: its tasks use the members above
};

}  // namespace penstock::http
