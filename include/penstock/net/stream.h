#pragma once

// Byte streams: what HTTP and the database drivers speak over. The sockets of `listen` and `connect` are streams, and
// so are simulated ones.
//
//   auto s = co_await net::connect(net::endpoint::parse("127.0.0.1:7"));
//   co_await s->write(net::bytes_of("hello"));

#include "penstock/async/task.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace penstock::net {

/// The bytes of a text. They belong to the text.
inline std::span<const std::byte> bytes_of(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A connected, ordered stream of bytes. Belongs to the loop it was made on. At most one read and one write at a
/// time; they may overlap. Destroying it closes it; no operation may be under way then.
class stream {
 public:
  stream() = default;
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  virtual ~stream() = default;

  /// Reads at least one byte into `buffer` and gives how many; 0 at the end of the stream. Throws `error` with
  /// `net_errc::connection_closed` when the peer reset it. Cancellable without loss: no byte is taken then.
  virtual task<std::size_t> read_some(std::span<std::byte> buffer) = 0;
  /// Writes all buffers, in order. After a cancellation or an error some of the bytes may have been written: close it.
  virtual task<void> write(std::span<const std::span<const std::byte>> buffers) = 0;
  /// Writes one buffer.
  task<void> write(std::span<const std::byte> buffer);
  /// Whether the peer has taken some of what was written since the write under way began to wait for it, or since the
  /// last call: for who leaves peers that take nothing. A peer's system takes bytes before the peer does, as many as it
  /// has room for. False without such a write, and where a kind of stream can't tell.
  virtual bool peer_took_some() noexcept { return false; }
  /// Tells the peer that no more will be written.
  virtual void shutdown_send() noexcept = 0;
  /// Closes at once; a read or write under way ends with `connection_closed`. Idempotent.
  virtual void close() noexcept = 0;
  /// As `close`, but the peer is told by a reset (RST; RFC 9293, 3.5.2) instead of an end, and may lose what it has not
  /// read. A kind of stream that knows no resets just closes.
  virtual void reset() noexcept { close(); }
  /// The peer's address, for logs.
  virtual const std::string& remote_address() const noexcept = 0;
};

}  // namespace penstock::net
