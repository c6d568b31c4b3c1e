#pragma once

namespace penstock::db {

// Holds the end of what is sent over a socket back while it lives, so that the server starts, or is woken, once for all
// of it. The system sends it after 200 ms by itself (tcp(7), TCP_CORK).
class held_end {
 public:
  // The socket may be closed before this ends; it may be none.
  explicit held_end(int socket) noexcept;
  held_end(const held_end&) = delete;
  held_end& operator=(const held_end&) = delete;
  ~held_end();
  // False on a socket that can't, such as a Unix one.
  bool holds() const noexcept { return holds_; }

 private:
  int socket_;
  bool holds_;
};

}  // namespace penstock::db
