#pragma once

#include "client_bridge.h"
#include "client_sockets.h"
#include "kept_connections.h"
#include "penstock/async/detail/list.h"
#include "penstock/async/scheduler.h"

#include <memory>
#include <optional>
#include <vector>

#include <curl/curl.h>

namespace penstock::http {

struct free_easy_handle {
  void operator()(CURL* h) const noexcept { ::curl_easy_cleanup(h); }
};
using easy_handle = std::unique_ptr<CURL, free_easy_handle>;

class client_multi;

// A transfer as the multi handle sees it: an easy handle under way.
class multi_entry : public penstock::detail::list_hook {
 public:
  explicit multi_entry(easy_handle h) noexcept : easy_(std::move(h)) {}
  CURL* easy() const noexcept { return easy_.get(); }

 protected:
  ~multi_entry() = default;
  easy_handle take_easy() noexcept { return std::move(easy_); }

 private:
  friend class client_multi;
  // It has ended and is no longer under way. Wakes whoever waits; resumes nobody.
  virtual void finished(CURLcode result) noexcept = 0;
  // What `finished` will be told of: its connection could not be made.
  virtual void refused_by(std::exception_ptr connecting) noexcept = 0;

  easy_handle easy_;
  bool unwatched_ = false;  // its socket can't be watched
  std::optional<net::endpoint> stream_to_;
  client_multi* home_ = nullptr;
};

// libcurl's multi handle, driven by a scheduler: over the sockets of an event loop, or over streams.
class client_multi final : private client_sockets::listener, private client_bridge::listener {
 public:
  client_multi(const client_options& options, long max_connections);
  client_multi(const client_multi&) = delete;
  client_multi& operator=(const client_multi&) = delete;
  ~client_multi();

  // Starts a transfer; it will be `finished` in a later turn of the loop unless it is removed before.
  void add(multi_entry& t);
  // From the callback before a request is sent without TLS over a kept connection: whether that can be used.
  bool can_use_kept(const multi_entry& t) noexcept { return kept_.usable(t.easy()); }
  // Ends a transfer that is under way, with this result.
  void finish(multi_entry& t, CURLcode result) noexcept;
  // Takes a transfer back and closes its connection; nothing when it is not under way.
  void remove(multi_entry& t) noexcept;

  // Closes the connections that are kept, and waits until all are closed. No transfer is under way then or later.
  task<void> close();
  // Whether `close` would wait.
  bool carries() const noexcept { return bridge_ != nullptr && bridge_->carries(); }

  // Makes a transfer's connection a stream to this endpoint, when streams are what there is.
  void connect_by_stream(multi_entry& t, const net::endpoint& to);
  bool connects_by_stream() const noexcept { return bridge_ != nullptr; }

  // An easy handle without options: a recycled one where there is one.
  easy_handle take_easy();
  void recycle(easy_handle h) noexcept;

 private:
  struct free_multi {
    void operator()(CURLM* m) const noexcept { ::curl_multi_cleanup(m); }
  };
  struct due_timer : timer {
    explicit due_timer(client_multi& m) noexcept : timer(&fire), owner(m) {}
    static void fire(timer& t) noexcept;
    client_multi& owner;
  };

  static int on_socket(CURL* easy, curl_socket_t socket, int wanted, void* self, void*) noexcept;
  static int on_timer(CURLM*, long milliseconds, void* self) noexcept;
  static curl_socket_t on_open(void* transfer, curlsocktype, curl_sockaddr* address) noexcept;
  static int on_opened(void* self, curl_socket_t socket, curlsocktype) noexcept;
  static int on_close(void* self, curl_socket_t socket) noexcept;
  static int on_close_stream(void* self, curl_socket_t socket) noexcept;
  void socket_ready(curl_socket_t socket, int ready) noexcept override;
  void connect_failed(multi_entry& opener, std::exception_ptr why) noexcept override;
  void act(curl_socket_t socket, int ready) noexcept;

  scheduler& clock_;
  std::vector<easy_handle> spare_;
  penstock::detail::list<multi_entry> under_way_;
  bool some_unwatched_ = false;
  due_timer timer_{*this};
  std::optional<client_sockets> sockets_;
  std::unique_ptr<client_bridge> bridge_;
  kept_connections kept_;
  std::unique_ptr<CURLM, free_multi> multi_;  // first to go: it still calls the members above
};

}  // namespace penstock::http
