#pragma once

#include "client_sockets.h"
#include "penstock/async/detail/list.h"
#include "penstock/async/scheduler.h"

#include <memory>
#include <vector>

#include <curl/curl.h>

namespace penstock::http {

struct free_easy_handle {
  void operator()(CURL* h) const noexcept { ::curl_easy_cleanup(h); }
};
using easy_handle = std::unique_ptr<CURL, free_easy_handle>;

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

  easy_handle easy_;
  bool unwatched_ = false;  // its socket can't be watched
};

// libcurl's multi handle, driven by an event loop.
class client_multi final : private client_sockets::listener {
 public:
  client_multi(net::event_loop& loop, long max_connections);
  client_multi(const client_multi&) = delete;
  client_multi& operator=(const client_multi&) = delete;
  ~client_multi();

  // Starts a transfer; it will be `finished` in a later turn of the loop unless it is removed before.
  void add(multi_entry& t);
  // Ends a transfer that is under way, with this result.
  void finish(multi_entry& t, CURLcode result) noexcept;
  // Takes a transfer back and closes its connection; nothing when it is not under way.
  void remove(multi_entry& t) noexcept;

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
  void socket_ready(curl_socket_t socket, int ready) noexcept override;
  void act(curl_socket_t socket, int ready) noexcept;

  net::event_loop& loop_;
  std::vector<easy_handle> spare_;
  penstock::detail::list<multi_entry> under_way_;
  bool some_unwatched_ = false;
  due_timer timer_{*this};
  client_sockets sockets_;
  std::unique_ptr<CURLM, free_multi> multi_;  // first to go: it still calls the members above
};

}  // namespace penstock::http
