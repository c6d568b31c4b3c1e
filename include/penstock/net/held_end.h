#pragma once

// For the sockets of client libraries that write by themselves, in more pieces than it takes.
//
//   {
//     held_end until_all_is_written(PQsocket(session));
//     PQputCopyData(session, data, size);
//     PQputCopyEnd(session, nullptr);
//   }

namespace penstock::net {

/// Holds the end of what is written to a TCP connection back while it lives: the other side starts, or is woken, once
/// for all of it. Full packets go out meanwhile, and after 200 ms the system sends the end by itself (tcp(7),
/// TCP_CORK).
class held_end {
 public:
  /// The socket belongs to somebody else, who may close it before this ends. It may be none (-1), or not be TCP's:
  /// nothing is held then.
  explicit held_end(int socket) noexcept;
  held_end(const held_end&) = delete;
  held_end& operator=(const held_end&) = delete;
  ~held_end();

  /// False on a socket that can't, such as a Unix one.
  bool holds() const noexcept { return holds_; }

 private:
  int socket_;
  bool holds_;
};

}  // namespace penstock::net
