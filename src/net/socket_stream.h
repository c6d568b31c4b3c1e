#pragma once

#include "penstock/net/stream.h"

#include <string>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

namespace penstock::net {

using stream_socket =
    boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, boost::asio::io_context::executor_type>;

// A connected TCP or Unix socket. Reading goes through Asio, which tries the system call first and registers with
// epoll once; writing calls sendmsg itself, since it nearly always succeeds at once.
class socket_stream final : public stream {
 public:
  socket_stream(stream_socket socket, std::string remote_address);

  task<std::size_t> read_some(std::span<std::byte> buffer) override;
  task<void> write(std::span<const std::span<const std::byte>> buffers) override;
  void shutdown_send() noexcept override;
  void close() noexcept override;
  const std::string& remote_address() const noexcept override { return remote_address_; }

 private:
  stream_socket socket_;
  std::string remote_address_;
};

}  // namespace penstock::net
