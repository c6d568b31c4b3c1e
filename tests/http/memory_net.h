#pragma once

// Streams and a listener in memory, for servers under the simulation: no socket, no system time, and every write seen.

#include <penstock/async/event.h>
#include <penstock/http/error.h>
#include <penstock/net/error.h>
#include <penstock/net/listener.h>
#include <penstock/net/stream.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace penstock::http {

// One direction of a connection.
struct memory_pipe {
  std::string bytes;
  std::size_t writes = 0;
  std::size_t capacity = std::string::npos;  // beyond it a writer waits
  bool ended = false;                        // by the writer
  bool dropped = false;                      // by the reader, or reset
  event changed;

  void notify() noexcept {
    changed.set();
    changed.clear();
  }
};

class memory_stream final : public net::stream {
 public:
  memory_stream(std::shared_ptr<memory_pipe> in, std::shared_ptr<memory_pipe> out)
      : in_(std::move(in)), out_(std::move(out)) {}
  ~memory_stream() override { close(); }

  task<std::size_t> read_some(std::span<std::byte> buffer) override {
    while (in_->bytes.empty() && !in_->ended && !in_->dropped) co_await in_->changed.wait();
    if (in_->dropped) throw error(net::net_errc::connection_closed, "read: the connection was reset");
    std::size_t n = std::min(buffer.size(), in_->bytes.size());
    std::memcpy(buffer.data(), in_->bytes.data(), n);
    in_->bytes.erase(0, n);
    in_->notify();
    co_return n;
  }

  task<void> write(std::span<const std::span<const std::byte>> buffers) override {
    ++out_->writes;
    bool has_waited = false;
    for (std::span<const std::byte> buffer : buffers) {
      std::string_view text(reinterpret_cast<const char*>(buffer.data()), buffer.size());
      while (!text.empty()) {
        if (out_->dropped || out_->ended) throw error(net::net_errc::connection_closed, "write: the peer is gone");
        std::size_t room = out_->capacity - std::min(out_->capacity, out_->bytes.size());
        std::string_view part = text.substr(0, room);
        out_->bytes += part;
        peer_took_some_ = has_waited && (peer_took_some_ || !part.empty());
        text.remove_prefix(part.size());
        out_->notify();
        if (text.empty()) break;
        has_waited = true;
        co_await out_->changed.wait();
      }
    }
  }

  bool peer_took_some() noexcept override { return std::exchange(peer_took_some_, false); }

  void shutdown_send() noexcept override {
    out_->ended = true;
    out_->notify();
  }

  void close() noexcept override {
    out_->ended = true;
    in_->dropped = true;
    out_->notify();
    in_->notify();
  }

  // Both directions end as by a reset.
  void reset() noexcept override {
    out_->dropped = in_->dropped = true;
    out_->notify();
    in_->notify();
  }

  const std::string& remote_address() const noexcept override { return name_; }
  memory_pipe& incoming() noexcept { return *in_; }
  memory_pipe& outgoing() noexcept { return *out_; }

 private:
  std::shared_ptr<memory_pipe> in_;
  std::shared_ptr<memory_pipe> out_;
  bool peer_took_some_ = false;
  std::string name_ = "memory:1";
};

class memory_listener final : public net::listener {
 public:
  // The client's end of a new connection.
  std::unique_ptr<memory_stream> connect() {
    auto up = std::make_shared<memory_pipe>();
    auto down = std::make_shared<memory_pipe>();
    waiting_.push_back(std::make_unique<memory_stream>(up, down));
    changed_.set();
    return std::make_unique<memory_stream>(down, up);
  }

  task<std::unique_ptr<net::stream>> accept() override {
    while (waiting_.empty() && !closed_) {
      changed_.clear();
      co_await changed_.wait();
    }
    if (closed_) throw error(net::net_errc::connection_closed, "accept: the listener was closed");
    std::unique_ptr<net::stream> first = std::move(waiting_.front());
    waiting_.pop_front();
    co_return first;
  }

  void close() noexcept override {
    closed_ = true;
    changed_.set();
  }
  const net::endpoint& local_endpoint() const noexcept override { return where_; }
  std::size_t waiting() const noexcept { return waiting_.size(); }
  bool closed() const noexcept { return closed_; }

 private:
  std::deque<std::unique_ptr<memory_stream>> waiting_;
  bool closed_ = false;
  event changed_;
  net::endpoint where_ = net::endpoint::parse("127.0.0.1:1");
};

}  // namespace penstock::http
