#pragma once

#include "penstock/async/scheduler_observer.h"
#include "penstock/net/stream.h"
#include "readiness.h"

#include <cstdint>
#include <memory>
#include <source_location>
#include <string>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

namespace penstock::net {

using stream_socket =
    boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, boost::asio::io_context::executor_type>;

// A connected TCP or Unix socket. It calls recv and sendmsg itself and waits with the loop's `readiness_set`: a request
// and its answer cost one call each.
class socket_stream final : public stream, private tracked {
 public:
  // Takes the socket over from Asio; made on the loop it belongs to.
  socket_stream(stream_socket socket, std::string remote_address, std::source_location made_at);
  ~socket_stream() override { close(); }

  task<std::size_t> read_some(std::span<std::byte> buffer) override;
  task<void> write(std::span<const std::span<const std::byte>> buffers) override;
  bool peer_took_some() noexcept override;
  void shutdown_send() noexcept override;
  void close() noexcept override;
  void reset() noexcept override;
  const std::string& remote_address() const noexcept override { return remote_address_; }

 private:
  std::string name() const override { return remote_address_; }
  std::uint64_t taken() const noexcept;
  boost::system::error_code kept(int failure) noexcept;

  std::shared_ptr<readiness_set> set_;  // with all that it needs, so that the stream may outlive its loop
  int socket_ = -1;                     // -1 when closed
  bool yields_ = false;
  int failure_ = 0;               // errno of what broke the connection
  std::uint64_t written_ = 0;     // bytes, so far
  std::uint64_t last_taken_ = 0;  // what `taken` was when it was last looked at
  socket_readiness readiness_;
  std::string remote_address_;
};

}  // namespace penstock::net
