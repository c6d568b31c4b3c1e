#pragma once

// The streams and the listener that a simulated network gives.

#include "network_connection.h"
#include "penstock/async/event.h"
#include "penstock/net/listener.h"
#include "penstock/testing/ledger.h"

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <utility>

namespace penstock::testing {

class network_stream final : public net::stream {
 public:
  network_stream(std::shared_ptr<network_connection> c, std::size_t end, std::source_location made_at);
  ~network_stream() override { close(); }

  task<std::size_t> read_some(std::span<std::byte> buffer) override;
  task<void> write(std::span<const std::span<const std::byte>> buffers) override;
  bool peer_took_some() noexcept override { return std::exchange(peer_took_some_, false); }
  void shutdown_send() noexcept override { connection_->finish(end_); }
  void close() noexcept override;
  void reset() noexcept override;
  const std::string& remote_address() const noexcept override { return connection_->address(1 - end_); }

 private:
  class operation;
  [[noreturn]] void fail(const char* doing) const;

  std::shared_ptr<network_connection> connection_;
  std::size_t end_;
  bool reading_ = false;
  bool writing_ = false;
  bool peer_took_some_ = false;
  std::optional<ledger_entry> open_;
};

class network_listener final : public net::listener {
 public:
  network_listener(std::shared_ptr<network::implementation> home, const std::string& host, std::uint16_t port,
                   std::source_location made_at);
  ~network_listener() override { close(); }

  task<std::unique_ptr<net::stream>> accept() override;
  void close() noexcept override;
  const net::endpoint& local_endpoint() const noexcept override { return where_; }

  const std::source_location& made_at() const noexcept { return made_at_; }
  bool has_room() const noexcept;
  // The server's end of a new connection.
  void queue(std::unique_ptr<net::stream> fresh);

 private:
  std::shared_ptr<network::implementation> home_;
  net::endpoint where_;
  std::deque<std::unique_ptr<net::stream>> waiting_;
  bool closed_ = false;
  event changed_;
  std::source_location made_at_;
  std::optional<ledger_entry> open_;
};

}  // namespace penstock::testing
