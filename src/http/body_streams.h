#pragma once

#include "connection.h"

namespace penstock::http {

// A request's body, out of the connection's buffer.
class connection::incoming_body final : public body_reader {
 public:
  explicit incoming_body(connection& c) noexcept : connection_(c) {}
  task<std::string_view> read_some() override;
  std::optional<std::uint64_t> length() const noexcept override { return connection_.parser_->body_length(); }

 private:
  connection& connection_;
  bool continued_ = false;
};

// A streamed answer's body, into the connection's output.
class connection::outgoing_body final : public body_writer {
 public:
  outgoing_body(connection& c, bool chunked) noexcept : connection_(c), chunked_(chunked) {}
  task<void> write(std::string_view piece) override;

 private:
  connection& connection_;
  bool chunked_;
};

}  // namespace penstock::http
