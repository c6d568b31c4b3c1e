#pragma once

// Stands between a client and a server. It can lose what comes, so that both sides find the line open and dead; take
// nothing for a while, as a server that is busy; and change what the server says.

#include "db/server_url.h"
#include <penstock/async/event.h>
#include <penstock/async/task_group.h>
#include <penstock/core/error.h>
#include <penstock/net/endpoint.h>
#include <penstock/net/listener.h>
#include <penstock/net/stream.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace penstock::db {

class meddling_proxy {
 public:
  // Listens at once; on the loop that it is to run on. `server` is "host:port".
  explicit meddling_proxy(std::string server)
      : server_(std::move(server)), listener_(net::listen(net::endpoint::parse("127.0.0.1:0"))) {
    takes_.set();
  }

  // Until it is cancelled.
  task<void> run() {
    co_await with_task_group([this](task_group& lines) -> task<> {
      for (;;) {
        task<std::unique_ptr<net::stream>> accepting = listener_->accept();
        std::unique_ptr<net::stream> client = co_await std::move(accepting);
        lines.start(serve(std::move(client)));
      }
    });
  }

  // "host:port" to connect to.
  std::string address() const { return listener_->local_endpoint().to_string(); }
  void fall_silent() noexcept { silent_ = true; }
  void speak() noexcept { silent_ = false; }
  // From what a client sends with that in it on.
  void fall_silent_at(std::string request) { silencing_ = std::move(request); }
  // Its system drops what the clients that are there send, as when the packets are lost on the way.
  void vanish() const {
    sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    sock_fprog program{1, &drop};
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      int descriptor = std::stoi(entry.path().filename());
      sockaddr_in near{};
      sockaddr_in far{};
      socklen_t near_size = sizeof(near);
      socklen_t far_size = sizeof(far);
      if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&near), &near_size) == 0 &&
          ::getpeername(descriptor, reinterpret_cast<sockaddr*>(&far), &far_size) == 0 && near.sin_family == AF_INET &&
          ntohs(near.sin_port) == listener_->local_endpoint().port())
        ::setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
    }
  }
  // What was read already is not passed on either.
  void hold() noexcept { takes_.clear(); }
  void go_on() noexcept { takes_.set(); }
  // Gets what comes from the server, as it arrives.
  void change_answers(std::function<void(std::span<char>)> change) { change_ = std::move(change); }

 private:
  task<void> serve(std::unique_ptr<net::stream> client) {
    task<std::unique_ptr<net::stream>> connecting = net::connect(net::endpoint::parse(server_));
    std::unique_ptr<net::stream> server = co_await std::move(connecting);
    co_await with_task_group([&](task_group& both) -> task<> {
      both.start(pump(*client, *server, false));
      both.start(pump(*server, *client, true));
      co_return;
    });
  }

  static std::string_view text_of(std::span<const std::byte> buffer, std::size_t size) {
    return {reinterpret_cast<const char*>(buffer.data()), size};
  }

  // What comes while it is silent is lost.
  task<void> pump(net::stream& from, net::stream& to, bool are_answers) {
    std::array<std::byte, 65'536> buffer;
    try {
      for (;;) {
        task<std::size_t> reading = from.read_some(buffer);
        std::size_t size = co_await std::move(reading);
        if (size == 0) break;
        if (!are_answers && !silencing_.empty() && text_of(buffer, size).find(silencing_) != std::string_view::npos) {
          silencing_.clear();
          silent_ = true;
        }
        if (silent_) continue;
        if (!takes_.is_set()) co_await takes_.wait();
        if (are_answers && change_) change_({reinterpret_cast<char*>(buffer.data()), size});
        task<void> writing = to.write(std::span<const std::byte>(buffer.data(), size));
        co_await std::move(writing);
      }
    } catch (const error&) {  // one side has closed the line
    }
    to.close();
  }

  std::string server_;
  std::unique_ptr<net::listener> listener_;
  bool silent_ = false;
  std::string silencing_;
  event takes_;
  std::function<void(std::span<char>)> change_;
};

// Runs `body(proxy, url by way of it)` while the proxy stands before the server of a database's URL, which names its
// port.
template <class Body>
task<void> with_meddling_proxy(std::string url, Body body) {
  const std::string server = parse_server_url(url, 0).addresses.front().to_string();
  meddling_proxy proxy(server);
  url.replace(url.find(server), server.size(), proxy.address());
  co_await with_task_group([&](task_group& background) -> task<> {
    background.start_background(proxy.run(), "proxy");
    task<void> running = body(proxy, url);
    co_await std::move(running);
  });
}

}  // namespace penstock::db
