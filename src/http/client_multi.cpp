#include "client_multi.h"

#include <cassert>
#include <new>
#include <stdexcept>
#include <string>

#include <unistd.h>

// Invariants: libcurl is entered only from the loop's items and timers and from tasks, never from its own
// callbacks; and while it is entered no task is resumed, for `finished` only queues. So no transfer is added or
// removed below libcurl's feet.

namespace penstock::http {
namespace {

void initialise_libcurl() {
  static const CURLcode result = ::curl_global_init(CURL_GLOBAL_DEFAULT);  // once, by the first thread that comes
  if (result != CURLE_OK)
    throw std::runtime_error(std::string("libcurl can't be used: ") + ::curl_easy_strerror(result));
}

CURLM* make_multi() {
  initialise_libcurl();
  CURLM* m = ::curl_multi_init();
  if (m == nullptr) throw std::bad_alloc();
  return m;
}

}  // namespace

client_multi::client_multi(const client_options& options, long max_connections)
    : clock_(scheduler::current()), multi_(make_multi()) {
  if (options.connect) {
    client_bridge::listener& told = *this;
    bridge_ = std::make_unique<client_bridge>(options.connect, options.connect_timeout, told);
  } else {
    client_sockets::listener& told = *this;
    sockets_.emplace(net::event_loop::current(), told);
  }
  CURLM* m = multi_.get();
  ::curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, &on_socket);
  ::curl_multi_setopt(m, CURLMOPT_SOCKETDATA, this);
  ::curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, &on_timer);
  ::curl_multi_setopt(m, CURLMOPT_TIMERDATA, this);
  ::curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, max_connections);
  ::curl_multi_setopt(m, CURLMOPT_MAX_TOTAL_CONNECTIONS, max_connections);
}

client_multi::~client_multi() = default;

void client_multi::add(multi_entry& t) {
  ::curl_easy_setopt(t.easy(), CURLOPT_PRIVATE, &t);
  if (!bridge_) {
    ::curl_easy_setopt(t.easy(), CURLOPT_SOCKOPTFUNCTION, &on_opened);
    ::curl_easy_setopt(t.easy(), CURLOPT_SOCKOPTDATA, this);
    ::curl_easy_setopt(t.easy(), CURLOPT_CLOSESOCKETFUNCTION, &on_close);
    ::curl_easy_setopt(t.easy(), CURLOPT_CLOSESOCKETDATA, this);
  }
  CURLMcode refused = ::curl_multi_add_handle(multi_.get(), t.easy());
  if (refused != CURLM_OK)
    throw std::runtime_error(std::string("libcurl takes no transfer: ") + ::curl_multi_strerror(refused));
  t.unwatched_ = false;
  under_way_.push_back(t);
}

void client_multi::remove(multi_entry& t) noexcept {
  if (!t.linked()) return;
  t.unlink();
  [[maybe_unused]] CURLMcode refused = ::curl_multi_remove_handle(multi_.get(), t.easy());
  assert(refused == CURLM_OK);
}

task<void> client_multi::close() {
  assert(under_way_.empty());
  multi_.reset();
  if (!bridge_) co_return;
  task<void> ending = bridge_->join();
  co_await std::move(ending);
}

easy_handle client_multi::take_easy() {
  if (!spare_.empty()) {
    easy_handle h = std::move(spare_.back());
    spare_.pop_back();
    return h;
  }
  easy_handle h(::curl_easy_init());
  if (!h) throw std::bad_alloc();
  spare_.reserve(spare_.capacity() + 1);  // so that it can come back
  return h;
}

void client_multi::recycle(easy_handle h) noexcept {
  ::curl_easy_reset(h.get());
  spare_.push_back(std::move(h));
}

int client_multi::on_socket(CURL* easy, curl_socket_t socket, int wanted, void* self, void*) noexcept {
  auto& me = *static_cast<client_multi*>(self);
  try {
    if (me.bridge_)
      me.bridge_->watch(socket, wanted);
    else
      me.sockets_->watch(socket, wanted);
  } catch (...) {
    // Refusing here would end every transfer of the multi handle, for ever: only this one ends, in `act`.
    multi_entry* t = nullptr;
    ::curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
    if (t != nullptr) me.some_unwatched_ = t->unwatched_ = true;
  }
  return 0;
}

int client_multi::on_timer(CURLM*, long milliseconds, void* self) noexcept {
  auto& me = *static_cast<client_multi*>(self);
  me.timer_.cancel();
  if (milliseconds < 0) return 0;
  // Over streams all that libcurl would time is timed here; its later timers follow the system's clock.
  if (milliseconds > 0 && me.bridge_) return 0;
  try {
    me.clock_.add_timer(me.timer_, me.clock_.now() + std::chrono::milliseconds(milliseconds));
  } catch (...) {
    return -1;
  }
  return 0;
}

void client_multi::due_timer::fire(timer& t) noexcept { static_cast<due_timer&>(t).owner.act(CURL_SOCKET_TIMEOUT, 0); }

void client_multi::socket_ready(curl_socket_t socket, int ready) noexcept { act(socket, ready); }

void client_multi::act(curl_socket_t socket, int ready) noexcept {
  int running = 0;
  ::curl_multi_socket_action(multi_.get(), socket, ready, &running);
  int left = 0;
  while (CURLMsg* m = ::curl_multi_info_read(multi_.get(), &left)) {
    if (m->msg != CURLMSG_DONE) continue;
    CURLcode result = m->data.result;  // gone with the handle's removal
    multi_entry* t = nullptr;
    ::curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
    finish(*t, result);
  }
  while (some_unwatched_) {
    multi_entry* t = nullptr;
    under_way_.for_each([&](multi_entry& one) { t = one.unwatched_ ? &one : t; });
    if (t != nullptr) finish(*t, CURLE_ABORTED_BY_CALLBACK);
    some_unwatched_ = t != nullptr;
  }
  if (bridge_) bridge_->catch_up();
}

void client_multi::connect_by_stream(multi_entry& t, const net::endpoint& to) {
  t.stream_to_ = to;
  t.home_ = this;
  ::curl_easy_setopt(t.easy(), CURLOPT_OPENSOCKETFUNCTION, &on_open);
  ::curl_easy_setopt(t.easy(), CURLOPT_OPENSOCKETDATA, &t);
  ::curl_easy_setopt(t.easy(), CURLOPT_CLOSESOCKETFUNCTION, &on_close_stream);
  ::curl_easy_setopt(t.easy(), CURLOPT_CLOSESOCKETDATA, this);
  // libcurl keeps a connection but never uses it again when its peer's address has no text, as here.
  ::curl_easy_setopt(t.easy(), CURLOPT_FORBID_REUSE, 1L);
}

curl_socket_t client_multi::on_open(void* transfer, curlsocktype, curl_sockaddr* address) noexcept {
  auto& t = *static_cast<multi_entry*>(transfer);
  try {
    return t.home_->bridge_->open(*t.stream_to_, t, *address);
  } catch (...) {
    return CURL_SOCKET_BAD;  // the transfer ends with CURLE_COULDNT_CONNECT
  }
}

int client_multi::on_opened(void* self, curl_socket_t socket, curlsocktype) noexcept {
  static_cast<client_multi*>(self)->kept_.add(socket);
  return CURL_SOCKOPT_OK;
}

int client_multi::on_close(void* self, curl_socket_t socket) noexcept {
  static_cast<client_multi*>(self)->kept_.remove(socket);
  return ::close(socket);
}

int client_multi::on_close_stream(void* self, curl_socket_t socket) noexcept {
  static_cast<client_multi*>(self)->bridge_->close(socket);
  return 0;
}

void client_multi::connect_failed(multi_entry& opener, std::exception_ptr why) noexcept {
  opener.refused_by(std::move(why));
  finish(opener, CURLE_COULDNT_CONNECT);
}

void client_multi::finish(multi_entry& t, CURLcode result) noexcept {
  remove(t);
  t.finished(result);
}

}  // namespace penstock::http
