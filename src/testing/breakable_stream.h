#pragma once

#include "penstock/net/listener.h"
#include "penstock/net/stream.h"

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace penstock::testing {

// The connection of an HTTP server, which can be told to break in the middle of an answer.
class breakable_stream final : public net::stream {
 public:
  using registry = std::map<std::string, breakable_stream*, std::less<>>;

  // Is in the registry, under its peer's address, while it lives.
  breakable_stream(std::unique_ptr<net::stream> inner, registry& in);
  ~breakable_stream() override { registry_.erase(remote_address()); }

  // The answer that is written next ends after its head and so many bytes.
  void break_after(std::size_t body_bytes, bool by_reset) noexcept;

  task<std::size_t> read_some(std::span<std::byte> buffer) override { return inner_->read_some(buffer); }
  task<void> write(std::span<const std::span<const std::byte>> buffers) override;
  bool peer_took_some() noexcept override { return inner_->peer_took_some(); }
  void shutdown_send() noexcept override { inner_->shutdown_send(); }
  void close() noexcept override { inner_->close(); }
  void reset() noexcept override { inner_->reset(); }
  const std::string& remote_address() const noexcept override { return inner_->remote_address(); }

 private:
  task<void> write_and_break(std::span<const std::span<const std::byte>> buffers);

  std::unique_ptr<net::stream> inner_;
  registry& registry_;
  std::optional<std::size_t> breaks_after_;
  bool by_reset_ = false;
  std::string written_;  // of the answer that will break
};

// A listener whose streams are breakable.
class breakable_listener final : public net::listener {
 public:
  explicit breakable_listener(std::unique_ptr<net::listener> inner) : inner_(std::move(inner)) {}

  task<std::unique_ptr<net::stream>> accept() override;
  void close() noexcept override { inner_->close(); }
  const net::endpoint& local_endpoint() const noexcept override { return inner_->local_endpoint(); }
  // The open connection from an address; null when there is none.
  breakable_stream* connection(std::string_view remote_address) noexcept;

 private:
  std::unique_ptr<net::listener> inner_;
  breakable_stream::registry open_;
};

}  // namespace penstock::testing
