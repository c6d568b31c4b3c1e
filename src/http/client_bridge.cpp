#include "client_bridge.h"

#include "penstock/async/error.h"
#include "penstock/async/timeout.h"
#include "penstock/net/descriptor.h"
#include "penstock/net/error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// A link is libcurl's until `close`; its task keeps it until all is sent. Invariant: whenever libcurl is not entered,
// each socket that is ready for what libcurl waits for has its notice queued.

namespace penstock::http {
namespace {

constexpr std::size_t most_held_bytes = 64 * 1024;

task<void> wait_for(event& flag) {
  auto waiting = flag.wait();
  co_await waiting;
  flag.clear();
}

}  // namespace

// A socket, or none.
class client_bridge::socket_handle {
 public:
  socket_handle() noexcept = default;
  socket_handle(const socket_handle&) = delete;
  socket_handle& operator=(const socket_handle&) = delete;
  ~socket_handle() { close(); }
  void reset(int socket) noexcept { socket_ = socket; }
  void close() noexcept {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  // Once: one that was closed stays so.
  void accept_from(int listening) noexcept {
    if (had_one_) return;
    socket_ = ::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    had_one_ = socket_ >= 0;
  }
  int get() const noexcept { return socket_; }
  explicit operator bool() const noexcept { return socket_ >= 0; }

 private:
  int socket_ = -1;
  bool had_one_ = false;
};

struct client_bridge::link {
  link(client_bridge& b, net::endpoint where, multi_entry& o) : home(b), to(std::move(where)), opener(&o) {}

  struct notice_item : work_item {
    explicit notice_item(link& l) noexcept : work_item(&run), of(l) {}
    static void run(work_item& item) noexcept {
      link& l = static_cast<notice_item&>(item).of;
      std::shared_ptr<link> alive = l.home.find(l.socket);
      if (alive) l.home.told_.socket_ready(l.socket, std::exchange(l.ready, 0));
    }
    link& of;
  };

  client_bridge& home;
  net::endpoint to;
  multi_entry* opener;  // until the connection is made
  curl_socket_t socket = CURL_SOCKET_BAD;
  socket_handle theirs;
  socket_handle ours;
  std::unique_ptr<net::stream> stream;
  cancel_scope scope;
  int wanted = CURL_POLL_NONE;
  int ready = 0;
  std::string written;  // by libcurl, not sent yet
  bool closed = false;  // by libcurl
  event to_send;        // something was written, or it was closed
  event has_taken;      // libcurl may have read
  notice_item notice{*this};
};

client_bridge::client_bridge(stream_connector connect, duration connect_timeout, listener& told)
    : connect_(std::move(connect)), connect_timeout_(connect_timeout), told_(told) {}

client_bridge::~client_bridge() = default;

curl_socket_t client_bridge::open(const net::endpoint& to, multi_entry& opener, curl_sockaddr& address) {
  if (!listening_) listen();
  accept_connected();
  auto fresh = std::make_shared<link>(*this, to, opener);
  fresh->theirs.reset(net::make_unix_socket());
  fresh->socket = fresh->theirs.get();
  socklen_t length = sizeof(sockaddr_un);
  sockaddr_un here{};
  if (::getsockname(listening_->get(), reinterpret_cast<sockaddr*>(&here), &length) != 0)
    throw error(net::net_errc::io_failed, "no socket for a connection to " + to.to_string());
  std::memcpy(static_cast<void*>(&address.addr), &here, length);  // libcurl has room there for any address
  address.addrlen = length;
  address.family = AF_UNIX;
  address.protocol = 0;
  links_.push_back(fresh);
  carrying_.start_background(carry(fresh), "connection to " + to.to_string());
  return fresh->socket;
}

// At an address of the system's choice that has no file (unix(7), autobind).
void client_bridge::listen() {
  auto fresh = std::make_unique<socket_handle>();
  fresh->reset(net::make_unix_socket());
  sockaddr_un unnamed{};
  unnamed.sun_family = AF_UNIX;
  if (::bind(fresh->get(), reinterpret_cast<sockaddr*>(&unnamed), sizeof(unnamed.sun_family)) != 0 ||
      ::listen(fresh->get(), 128) != 0)
    throw error(net::net_errc::io_failed, "no socket to connect an HTTP client to");
  listening_ = std::move(fresh);
}

// libcurl connects a socket before it opens another: what is accepted is the peer of the one that has none yet.
void client_bridge::accept_connected() noexcept {
  if (!listening_) return;
  for (const std::shared_ptr<link>& l : links_) l->ours.accept_from(listening_->get());
}

std::shared_ptr<client_bridge::link> client_bridge::find(curl_socket_t socket) const noexcept {
  auto found = std::find_if(links_.begin(), links_.end(), [&](const auto& l) { return l->socket == socket; });
  return found == links_.end() ? nullptr : *found;
}

void client_bridge::watch(curl_socket_t socket, int wanted) noexcept {
  std::shared_ptr<link> l = find(socket);
  if (l) l->wanted = wanted == CURL_POLL_REMOVE ? CURL_POLL_NONE : wanted;
}

void client_bridge::close(curl_socket_t socket) noexcept {
  std::shared_ptr<link> l = find(socket);
  if (!l) return;
  take_written(*l);
  std::erase(links_, l);
  l->closed = true;
  l->opener = nullptr;
  l->theirs.close();
  if (l->stream && !l->written.empty())
    l->to_send.set();
  else
    l->scope.cancel("the connection is not needed any more");
}

void client_bridge::catch_up() noexcept {
  accept_connected();
  for (const std::shared_ptr<link>& l : links_) {
    take_written(*l);
    l->has_taken.set();
    look(*l);
  }
}

void client_bridge::take_written(link& l) noexcept {
  std::array<char, 16 * 1024> buffer;
  while (l.ours && l.written.size() < most_held_bytes) {
    ssize_t n = ::recv(l.ours.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n <= 0) break;
    l.written.append(buffer.data(), static_cast<std::size_t>(n));
  }
  if (!l.written.empty()) l.to_send.set();
}

void client_bridge::look(link& l) noexcept {
  if (!l.theirs || l.wanted == CURL_POLL_NONE) return;
  pollfd now{l.socket, 0, 0};
  if ((l.wanted & CURL_POLL_IN) != 0) now.events |= POLLIN;
  if ((l.wanted & CURL_POLL_OUT) != 0) now.events |= POLLOUT;
  if (::poll(&now, 1, 0) <= 0) return;
  int ready = 0;
  if ((now.revents & (POLLIN | POLLHUP | POLLERR)) != 0) ready |= CURL_CSELECT_IN;
  if ((now.revents & POLLOUT) != 0) ready |= CURL_CSELECT_OUT;
  bool queued = l.ready != 0;
  l.ready |= ready;
  if (!queued) scheduler::current().post(l.notice);
}

// Ends well whatever happens: what went wrong is seen at libcurl's end.
task<void> client_bridge::carry(std::shared_ptr<link> l) {
  try {
    task<void> within = l->scope.run(carry_both_ways(l));
    co_await std::move(within);
  } catch (const operation_cancelled&) {
    if (!l->scope.cancelled()) throw;
  }
  l->ours.close();
  look(*l);
}

task<void> client_bridge::carry_both_ways(std::shared_ptr<link> l) {
  task<bool> connecting = connect(l);
  bool connected = co_await std::move(connecting);
  if (!connected) co_return;
  auto both = [this, l](task_group& group) -> task<void> {
    group.start_background(receive(l), "received bytes");
    task<void> sending = send(l);
    co_await std::move(sending);
  };
  task<void> whole = with_task_group(both);
  co_await std::move(whole);
}

task<bool> client_bridge::connect(std::shared_ptr<link> l) {
  std::exception_ptr failure;
  try {
    task<std::unique_ptr<net::stream>> connecting = with_timeout(connect_timeout_, connect_(l->to));
    l->stream = co_await std::move(connecting);
  } catch (const operation_cancelled&) {
    throw;
  } catch (...) {
    failure = std::current_exception();
  }
  multi_entry* opener = std::exchange(l->opener, nullptr);
  if (failure && opener != nullptr) told_.connect_failed(*opener, failure);
  co_return !failure;
}

// Until libcurl has closed its end and all that it wrote is sent, or the connection is lost.
task<void> client_bridge::send(std::shared_ptr<link> l) {
  try {
    for (;;) {
      while (l->written.empty() && !l->closed && l->ours) {
        task<void> waiting = wait_for(l->to_send);
        co_await std::move(waiting);
      }
      if (l->written.empty()) co_return;
      std::string bytes = std::exchange(l->written, {});
      task<void> writing = l->stream->write(net::bytes_of(bytes));
      co_await std::move(writing);
      if (l->closed) continue;
      take_written(*l);
      look(*l);
    }
  } catch (const error& e) {
    if (!e.is(net::net_errc::connection_closed) && !e.is(net::net_errc::io_failed)) throw;
  }
}

task<void> client_bridge::receive(std::shared_ptr<link> l) {
  try {
    std::vector<std::byte> buffer(16 * 1024);
    for (;;) {
      task<std::size_t> reading = l->stream->read_some(buffer);
      std::size_t n = co_await std::move(reading);
      if (n == 0) break;
      for (std::span<const std::byte> rest(buffer.data(), n); !rest.empty() && l->ours;) {
        ssize_t taken = ::send(l->ours.get(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (taken < 0 && errno != EAGAIN) co_return;  // libcurl has closed its end
        look(*l);
        if (taken > 0) {
          rest = rest.subspan(static_cast<std::size_t>(taken));
          continue;
        }
        task<void> waiting = wait_for(l->has_taken);
        co_await std::move(waiting);
      }
    }
    if (l->ours) ::shutdown(l->ours.get(), SHUT_WR);
  } catch (const error& e) {
    if (!e.is(net::net_errc::connection_closed) && !e.is(net::net_errc::io_failed)) throw;
    l->ours.close();
    l->to_send.set();
  }
  look(*l);
}

}  // namespace penstock::http
